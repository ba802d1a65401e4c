package main

import "github.com/spf13/cobra"

// commands lists what lethe can do, in the order of its help.
func commands(c *console) []*cobra.Command {
	return []*cobra.Command{
		serveCommand(c), demoCommand(c),
		submitCommand(c), planCommand(c), statusCommand(c), listCommand(c), approveCommand(c), rejectCommand(c), cancelCommand(c),
		extendCommand(c), confirmCommand(c), exemptCommand(c), holdCommand(c), sweepCommand(c), replayCommand(c), suppressedCommand(c),
		certificateCommand(c), verifyCommand(c), keysCommand(c), logCommand(c), witnessCommand(c), storesCommand(c), tokenCommand(c),
		backupCommand(c), doctorCommand(c),
		healthCommand(c), versionCommand(c),
	}
}
