package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const overlaysFolder = "deploy/kubernetes/overlays"

// Overlays returns the names of all overlays.
func Overlays(root string) (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(root, overlaysFolder))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Render makes the manifests of an overlay as kubectl does, in its order.
func Render(root, overlay string) ([]byte, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy
	all, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), filepath.Join(root, overlaysFolder, overlay))
	if err != nil {
		return nil, err
	}
	return all.AsYaml()
}

// decode makes objects of manifests. What a type has no field for is an error, and so is
// a kind that is not used here yet.
func decode(manifests []byte) (objects []runtime.Object, err error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		core.AddToScheme, apps.AddToScheme, policy.AddToScheme, networking.AddToScheme, monitoring.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for reader := yaml.NewYAMLReader(newBuffered(manifests)); ; {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		o, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%w, in\n%s", err, bytes.TrimSpace(text))
		}
		objects = append(objects, o)
	}
}
