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

// release is set by the linker where there is no repository to stamp from, as in
// an image: make static VERSION=v1.2.3.
var release string //nolint:gochecknoglobals // the linker sets nothing else

// version is what was given to the linker, or else what Go stamped into the
// binary: the tag, or the commit that it was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(devel)"
	}
	return info.Main.Version
}
