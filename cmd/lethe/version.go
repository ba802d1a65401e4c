package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:         "version",
		Short:       "Print the version",
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(*cobra.Command, []string) error {
			c.answer("lethe %s %s\n", version(), runtime.Version())
			return nil
		},
	}
}

// version is what Go stamped into the binary: the tag, or the commit that it
// was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(devel)"
	}
	return info.Main.Version
}
