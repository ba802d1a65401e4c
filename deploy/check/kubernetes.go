package check

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

func newBuffered(text []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(text)) }

// manual is the page that says which Secrets are to be made, with which keys.
const manual = "deploy/OPERATIONS.md"

// A workload is something that runs pods of Lethe.
type workload struct {
	kind, name string
	selector   *meta.LabelSelector // nil: of a bare pod
	labels     map[string]string   // of its pods
	pod        core.PodSpec
}

// A cluster is what one overlay makes.
type cluster struct {
	workloads []workload
	configs   map[string]core.ConfigMap
	claims    map[string]bool
	accounts  map[string]bool
	services  []core.Service
	budgets   []policy.PodDisruptionBudget
	walls     []networking.NetworkPolicy
}

// Kubernetes checks what every overlay makes.
func Kubernetes(root string) error {
	p := &Problems{where: overlaysFolder}
	names, err := Overlays(root)
	if err != nil {
		p.add("%v", err)
	}
	text, err := os.ReadFile(filepath.Join(root, manual))
	if err != nil {
		p.add("%v", err)
	}
	for _, name := range names {
		in := &Problems{where: overlaysFolder + "/" + name}
		c, err := assemble(root, name)
		if err != nil {
			in.add("%v", err)
		} else {
			c.check(in, string(text))
		}
		p.join(in)
	}
	return p.err()
}

// assemble renders an overlay and sorts its objects.
func assemble(root, overlay string) (*cluster, error) {
	manifests, err := Render(root, overlay)
	if err != nil {
		return nil, err
	}
	objects, err := decode(manifests)
	if err != nil {
		return nil, err
	}
	c := &cluster{configs: map[string]core.ConfigMap{}, claims: map[string]bool{}, accounts: map[string]bool{}}
	for _, o := range objects {
		if err := c.take(o); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *cluster) take(o runtime.Object) error {
	switch o := o.(type) {
	case *apps.Deployment:
		c.workloads = append(c.workloads, workload{"Deployment", o.Name, o.Spec.Selector, o.Spec.Template.Labels, o.Spec.Template.Spec})
	case *apps.StatefulSet:
		c.workloads = append(c.workloads, workload{"StatefulSet", o.Name, o.Spec.Selector, o.Spec.Template.Labels, o.Spec.Template.Spec})
	case *core.Pod:
		c.workloads = append(c.workloads, workload{"Pod", o.Name, nil, o.Labels, o.Spec})
	case *core.ConfigMap:
		c.configs[o.Name] = *o
	case *core.PersistentVolumeClaim:
		c.claims[o.Name] = true
	case *core.ServiceAccount:
		c.accounts[o.Name] = o.AutomountServiceAccountToken != nil && !*o.AutomountServiceAccountToken
	case *core.Service:
		c.services = append(c.services, *o)
	case *policy.PodDisruptionBudget:
		c.budgets = append(c.budgets, *o)
	case *networking.NetworkPolicy:
		c.walls = append(c.walls, *o)
	case *core.Secret:
		return fmt.Errorf("the Secret %s stands in the repository: make it with kubectl", o.Name)
	}
	return nil
}

// check holds each workload to the rules, and the objects to each other.
func (c *cluster) check(p *Problems, manual string) {
	for _, w := range c.workloads {
		in := p.in(w.kind + " " + w.name)
		in.podAlone(w.pod)
		for _, container := range append(w.pod.InitContainers, w.pod.Containers...) {
			of := in.in("container " + container.Name)
			of.container(container)
			if w.kind != "Pod" {
				of.probes(container)
				of.grace(w.pod, c.configuration(w, container).Text)
			} else if ready := container.ReadinessProbe; ready == nil || ready.Exec == nil || !strings.HasPrefix(ready.Exec.Command[0], "/") {
				of.add("has no readinessProbe of its own binary, by which to wait for the first token's turn")
			}
			in.join(of)
		}
		c.volumes(in, w.pod, manual)
		if w.selector != nil && !matches(w.selector, w.labels) {
			in.add("its selector does not choose its own pods")
		}
		if !c.accounts[w.pod.ServiceAccountName] {
			in.add("its service account is not here, or mounts a token")
		}
		if !c.walled(w.labels) {
			in.add("no NetworkPolicy holds for what comes in and goes out")
		}
		if w.kind == "Deployment" && !c.spared(w.labels) {
			in.add("has no PodDisruptionBudget")
		}
		p.join(in)
	}
	for _, s := range c.services {
		c.service(p.in("Service "+s.Name), p, s)
	}
}

// service checks that somebody answers at a Service.
func (c *cluster) service(in, p *Problems, s core.Service) {
	ports := map[string]bool{}
	for _, w := range c.workloads {
		if labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(w.labels)) {
			for _, container := range w.pod.Containers {
				for _, port := range container.Ports {
					ports[port.Name] = true
				}
			}
		}
	}
	for _, port := range s.Spec.Ports {
		if !ports[port.TargetPort.String()] {
			in.add("nobody has the port %s", port.TargetPort.String())
		}
	}
	if s.Spec.Type != "" && s.Spec.Type != core.ServiceTypeClusterIP {
		in.add("is reached from outside the cluster: put an Ingress before it")
	}
	p.join(in)
}

func matches(s *meta.LabelSelector, of map[string]string) bool {
	selector, err := meta.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(of))
}

// walled reports whether both directions of pods with these labels are closed but for
// what is allowed.
func (c *cluster) walled(of map[string]string) bool {
	var types []string
	for _, w := range c.walls {
		if matches(&w.Spec.PodSelector, of) {
			for _, t := range w.Spec.PolicyTypes {
				types = append(types, string(t))
			}
		}
	}
	return len(missing(types, "Ingress", "Egress")) == 0
}

func (c *cluster) spared(of map[string]string) bool {
	for _, b := range c.budgets {
		if matches(b.Spec.Selector, of) {
			return true
		}
	}
	return false
}

// volumes checks that what a pod mounts is made here, or that the manual says how.
func (c *cluster) volumes(p *Problems, pod core.PodSpec, manual string) {
	for _, v := range pod.Volumes {
		switch {
		case v.ConfigMap != nil:
			if _, ok := c.configs[v.ConfigMap.Name]; !ok {
				p.add("mounts the ConfigMap %s, which nobody makes", v.ConfigMap.Name)
			}
		case v.PersistentVolumeClaim != nil:
			if !c.claims[v.PersistentVolumeClaim.ClaimName] {
				p.add("mounts the claim %s, which nobody makes", v.PersistentVolumeClaim.ClaimName)
			}
		case v.Secret != nil:
			if !strings.Contains(manual, "`"+v.Secret.SecretName+"`") {
				p.add("mounts the Secret %s, and the manual does not say what is in it", v.Secret.SecretName)
			}
			if mode := v.Secret.DefaultMode; mode == nil || *mode&0o027 != 0 {
				p.add("the files of the Secret %s can be read by others: defaultMode 0440", v.Secret.SecretName)
			}
		case v.EmptyDir != nil:
			if v.EmptyDir.SizeLimit == nil {
				p.add("the volume %s has no sizeLimit", v.Name)
			}
		default:
			p.add("the volume %s is of a kind that is not used here", v.Name)
		}
	}
}
