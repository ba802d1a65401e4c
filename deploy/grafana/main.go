package main

import (
	"fmt"
	"os"
	"path/filepath"

	"lethe/deploy/grafana/board"
)

func main() {
	dir := filepath.Join("deploy", "grafana")
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	for _, d := range board.All() {
		text, err := d.JSON()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, d.File()), text, 0o644)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "write the dashboard %s: %v\n", d.File(), err)
			os.Exit(1)
		}
	}
}
