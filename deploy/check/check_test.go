package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	check "deploycheck"
)

// repository is the root of the repository.
func repository(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestTheFilesOfDeployKeepTheirRules(t *testing.T) {
	if err := check.Tree(repository(t)); err != nil {
		t.Error(err)
	}
}

// A fault is one change of one file, and what a check has to say of it.
type fault struct {
	name     string
	check    func(root string) error
	file     string
	old, new string
	want     string
}

const (
	dockerfile = "deploy/Dockerfile"
	ignore     = ".dockerignore"
	compose    = "deploy/compose.yaml"
	small      = "deploy/kubernetes/overlays/small/"
	production = "deploy/kubernetes/overlays/production/"
	unitFile   = "deploy/systemd/lethe.service"
)

func faults() []fault {
	return []fault{
		{"unknown instruction", check.Dockerfile, dockerfile, "COPY . .", "CPY . .", "unknown instruction: CPY"},
		{"root user", check.Dockerfile, dockerfile, "USER 65532:65532", "USER 0:0", "runs as root"},
		{"named user", check.Dockerfile, dockerfile, "USER 65532:65532", "USER nonroot", "is not a number"},
		{"no user", check.Dockerfile, dockerfile, "USER 65532:65532\n", "", "has no user"},
		{"latest", check.Dockerfile, dockerfile, "static-debian12:nonroot", "static-debian12:latest", "another one every day"},
		{"no tag", check.Dockerfile, dockerfile, "golang:1.26.8-bookworm", "golang", "has no tag"},
		{"shell", check.Dockerfile, dockerfile, `ENTRYPOINT ["/usr/local/bin/lethe"]`, "ENTRYPOINT lethe", "ENTRYPOINT must be a list"},
		{"no healthcheck", check.Dockerfile, dockerfile, `CMD ["/usr/local/bin/lethe", "health"]`, `CMD lethe health`, "no HEALTHCHECK"},
		{"secret in the image", check.Dockerfile, dockerfile, "ARG VERSION=v1.0.0", "ARG VERSION=v1.0.0\nENV DB_PASSWORD=hunter2", "DB_PASSWORD holds a secret"},
		{"kept out", check.Dockerfile, ignore, "!go.sum\n", "", "COPY go.sum: .dockerignore keeps it out"},
		{"not there", check.Dockerfile, dockerfile, "COPY go.mod go.sum", "COPY go.mod go.work", "there is no such file"},

		{"unknown key", check.Compose, compose, "read_only: true", "readonly: true", ".readonly"},
		{"root can be written", check.Compose, compose, "read_only: true", "read_only: false", "its root can be written"},
		{"root", check.Compose, compose, `user: "65532:65532"`, `user: root`, "is not a number"},
		{"every address", check.Compose, compose, "127.0.0.1:8080:8080", "0.0.0.0:8080:8080", `published on "0.0.0.0"`},
		{"any address", check.Compose, compose, "127.0.0.1:8080:8080", "8080:8080", `published on ""`},
		{"secret in the environment", check.Compose, compose, "POSTGRES_PASSWORD_FILE: /run/secrets/postgres-password", "POSTGRES_PASSWORD: hunter2", "POSTGRES_PASSWORD holds a secret"},
		{"URL in the environment", check.Compose, compose, "{GOMEMLIMIT: 900MiB}", "{LEDGER: 'postgres://lethe:hunter2@postgres/lethe'}", "URL with a password"},
		{"capabilities", check.Compose, compose, "cap_drop: [ALL]", "cap_drop: [NET_RAW]", "keeps capabilities"},
		{"privileges", check.Compose, compose, "no-new-privileges:true", "no-new-privileges:false", "may gain privileges"},
		{"latest", check.Compose, compose, "redis:7.4.2-bookworm", "redis:latest", "another one every day"},
		{"mount that is not there", check.Compose, compose, "./compose/lethe.yaml:", "./compose/leth.yaml:", "compose/leth.yaml, which is not there"},
		{"mount that can be written", check.Compose, compose, "/etc/lethe/lethe.yaml:ro", "/etc/lethe/lethe.yaml", "may write into the repository"},
		{"secret that nobody makes", check.Compose, compose, "secrets.d/redis-acl", "secrets.d/redis-alc", "redis-acl is a file that compose/secrets does not make"},
		{"secret of nobody", check.Compose, compose, "secrets: [ledger, queue-password]", "secrets: [ledger]", "queue-password is nobody's"},
		{"started is not healthy", check.Compose, compose, "redis: {condition: service_healthy}", "redis: {condition: service_started}", "wait for service_healthy"},
		{"killed while it drains", check.Compose, compose, "stop_grace_period: 30s", "stop_grace_period: 10s", "killed before it has stopped"},
		{"endless log", check.Compose, compose, `options: {max-size: 10m, max-file: "5"}`, "options: {max-size: 10m}", "its log grows without end"},

		{"unknown field", check.Kubernetes, small + "statefulset.yaml", "ports:", "portz:", "unknown field"},
		{"unknown kind", check.Kubernetes, small + "service.yaml", "kind: Service", "kind: Servce", `no kind "Servce"`},
		{"file that is not there", check.Kubernetes, small + "kustomization.yaml", "- volume.yaml", "- volumes.yaml", "volumes.yaml"},
		{"missing probe", check.Kubernetes, small + "statefulset.yaml", "          readinessProbe:\n            httpGet: {path: /readyz, port: http}\n            periodSeconds: 5\n            timeoutSeconds: 5\n", "", "has no readinessProbe"},
		{"liveness that asks the database", check.Kubernetes, production + "pod.yaml", "livenessProbe:\n            httpGet: {path: /healthz", "livenessProbe:\n            httpGet: {path: /readyz", "livenessProbe must ask /healthz"},
		{"probe of no port", check.Kubernetes, small + "statefulset.yaml", "{path: /readyz, port: http}", "{path: /readyz, port: https}", "a port that there is none of"},
		{"first pod of which nobody knows when it is ready", check.Kubernetes, "deploy/kubernetes/overlays/small-first/pod.yaml", "readinessProbe:", "livenessProbe:", "has no readinessProbe of its own binary"},
		{"root", check.Kubernetes, production + "pod.yaml", "runAsUser: 65532", "runAsUser: 0", "runs as root"},
		{"may be root", check.Kubernetes, production + "pod.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "may run as root"},
		{"root can be written", check.Kubernetes, production + "pod.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "its root can be written"},
		{"escalation", check.Kubernetes, small + "statefulset.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "may gain privileges"},
		{"no seccomp", check.Kubernetes, small + "statefulset.yaml", "seccompProfile: {type: RuntimeDefault}", "seccompProfile: {type: Unconfined}", "may make any system call"},
		{"latest", check.Kubernetes, small + "kustomization.yaml", "newTag: 1.0.0", "newTag: latest", "another one every day"},
		{"secret in the environment", check.Kubernetes, small + "statefulset.yaml", "{name: GOMEMLIMIT, value: 900MiB}", "{name: LEDGER_PASSWORD, value: hunter2}", "LEDGER_PASSWORD holds a secret"},
		{"Secret in the environment", check.Kubernetes, small + "statefulset.yaml", "{name: GOMEMLIMIT, value: 900MiB}", "{name: LEDGER, valueFrom: {secretKeyRef: {name: lethe, key: ledger}}}", "LEDGER holds a secret"},
		{"killed while it drains", check.Kubernetes, production + "pod.yaml", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 20", "killed before it has stopped"},
		{"killed while it waits to drain", check.Kubernetes, production + "lethe.yaml", "drain_delay: 5s", "drain_delay: 20s", "killed before it has stopped"},
		{"no budget", check.Kubernetes, production + "disruption.yaml", "component: worker", "component: labourer", "lethe-worker: has no PodDisruptionBudget"},
		{"no wall", check.Kubernetes, "deploy/kubernetes/base/kustomization.yaml", "  - networkpolicy.yaml\n", "", "no NetworkPolicy holds"},
		{"Service of nobody", check.Kubernetes, production + "service.yaml", "component: api", "component: apis", "nobody has the port https"},
		{"Service to the world", check.Kubernetes, small + "service.yaml", "  ports:", "  type: LoadBalancer\n  ports:", "from outside the cluster"},
		{"ConfigMap of nobody", check.Kubernetes, small + "statefulset.yaml", "configMap: {name: lethe}", "configMap: {name: leth}", "ConfigMap leth, which nobody makes"},
		{"Secret that is not explained", check.Kubernetes, production + "pod.yaml", "secretName: lethe-tls", "secretName: lethe-cert", "the manual does not say"},
		{"Secret that others read", check.Kubernetes, production + "pod.yaml", "secretName: lethe, defaultMode: 0440", "secretName: lethe, defaultMode: 0444", "can be read by others"},
		{"Secret in the repository", check.Kubernetes, small + "volume.yaml", "apiVersion: v1\nkind: PersistentVolumeClaim", "apiVersion: v1\nkind: Secret\nmetadata: {name: lethe}\n---\napiVersion: v1\nkind: PersistentVolumeClaim", "stands in the repository"},
		{"operator's kind, misspelt", check.Kubernetes, "deploy/kubernetes/components/podmonitor/podmonitor.yaml", "podMetricsEndpoints:", "podMetricEndpoints:", "unknown field"},

		{"weaker", check.Unit, unitFile, "ProtectSystem=strict", "ProtectSystem=full", "ProtectSystem must be"},
		{"core dumps", check.Unit, unitFile, "LimitCORE=0\n", "", "LimitCORE must be"},
		{"root", check.Unit, unitFile, "User=lethe", "User=root", "User must be one that is not root"},
		{"no filter", check.Unit, unitFile, "SystemCallFilter=@system-service\n", "", "SystemCallFilter must begin"},
		{"secret in the environment", check.Unit, unitFile, "LimitCORE=0", "LimitCORE=0\nEnvironment=LETHE_TOKEN=x", "LETHE_TOKEN holds a secret"},
		{"credential that is not loaded", check.Unit, unitFile, "LoadCredential=queue-password:/etc/lethe/secrets/queue-password\n", "", "reads the credential queue-password, which is not loaded"},
		{"credential that nothing reads", check.Unit, unitFile, "LimitCORE=0", "LimitCORE=0\nLoadCredential=more:/etc/lethe/secrets/more", "loads the credential more"},

		{"rule file that is not mounted", check.Measured, compose, "      - ./prometheus/rules.yml:/etc/prometheus/rules.yml:ro\n", "", "reads /etc/prometheus/rules.yml, which is not mounted"},
		{"rule file of another name", check.Measured, "deploy/compose/prometheus.yml", "rule_files: [rules.yml]", "rule_files: [rule.yml]", "reads /etc/prometheus/rule.yml, which is not mounted"},
		{"no rules", check.Measured, "deploy/compose/prometheus.yml", "rule_files: [rules.yml]", "rule_files: []", "has no rules"},
		{"another port", check.Measured, "deploy/compose/prometheus.yml", "lethe:8080", "lethe:8081", "does not ask lethe where it listens"},
		{"another job", check.Measured, "deploy/compose/prometheus.yml", "job_name: lethe", "job_name: lethes", "does not ask lethe where it listens"},
		{"datasource of nobody", check.Measured, "deploy/grafana/provisioning/datasources/prometheus.yaml", "http://prometheus:9090", "http://prom:9090", "which is no service"},
		{"dashboards that are not mounted", check.Measured, compose, "./grafana:/var/lib/grafana/dashboards:ro", "./grafana:/var/lib/grafana/boards:ro", "finds no dashboards"},

		{"tags that differ", check.Images, small + "kustomization.yaml", "newTag: 1.0.0", "newTag: 1.0.1", "lethe has several tags"},
		{"version that differs", check.Images, dockerfile, "ARG VERSION=v1.0.0", "ARG VERSION=v0.9.0", "lethe has several tags"},
	}
}

// Each fault is caught, by the check that is there for it, and in its own words.
func TestEachPlantedFaultIsCaught(t *testing.T) {
	for _, f := range faults() {
		t.Run(strings.TrimPrefix(filepath.Base(f.file)+" "+f.name, "."), func(t *testing.T) {
			t.Parallel()
			root := planted(t, f)
			if err := f.check(root); err == nil || !strings.Contains(err.Error(), f.want) {
				t.Errorf("with %q in place of %q in %s: %v, want %q", f.new, f.old, f.file, err, f.want)
			}
		})
	}
}

// planted copies what the checks read, with one fault in it.
func planted(t *testing.T, f fault) string {
	t.Helper()
	from, root := repository(t), t.TempDir()
	for _, dir := range []string{"deploy/compose", "deploy/kubernetes", "deploy/systemd", "deploy/prometheus", "deploy/grafana"} {
		if _, err := os.Stat(filepath.Join(from, dir)); err != nil {
			continue
		}
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join(from, dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{ignore, dockerfile, compose, "deploy/OPERATIONS.md", "deploy/redis.acl", "go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(root, f.file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), f.old) {
		t.Fatalf("%s does not have %q", f.file, f.old)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), f.old, f.new)), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}
