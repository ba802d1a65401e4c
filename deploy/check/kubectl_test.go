package check_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	check "deploycheck"
)

// What kubectl would apply is what was checked.
func TestKubectlRendersTheSame(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("LEFT OUT: kubectl is not here")
	}
	overlays, err := check.Overlays(repository(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, overlay := range overlays {
		ours, err := check.Render(repository(t), overlay)
		if err != nil {
			t.Error(err)
			continue
		}
		theirs, err := exec.Command("kubectl", "kustomize", filepath.Join(repository(t), "deploy/kubernetes/overlays", overlay)).Output()
		if err != nil || string(theirs) != string(ours) {
			t.Errorf("%s: kubectl renders %d bytes, the library %d; %v", overlay, len(theirs), len(ours), err)
		}
	}
}
