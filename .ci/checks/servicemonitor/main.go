// Package main checks the ServiceMonitors among manifests that it is given on
// stdin: no JSON schema for them is in a package, so they are decoded into the
// operator's own types, which allow no unknown field. It wants at least one.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

func main() {
	if err := check(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "servicemonitor:", err)
		os.Exit(1)
	}
}

func check(manifests io.Reader) error {
	found := 0
	for documents := yaml.NewYAMLReader(bufio.NewReader(manifests)); ; {
		data, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := strict.Unmarshal(data, &kind); err != nil {
			return err
		}
		if kind.Kind != "ServiceMonitor" {
			continue
		}
		found++
		var monitor monitoring.ServiceMonitor
		if err := strict.UnmarshalStrict(data, &monitor); err != nil {
			return err
		}
	}
	if found == 0 {
		return errors.New("there is none")
	}
	return nil
}
