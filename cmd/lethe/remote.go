package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lethe/jobs/api"
)

// A remote is the server that a command talks to.
type remote struct{ server, tokenFile string }

func (r *remote) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.server, "server", cmp.Or(os.Getenv("LETHE_SERVER"), "http://127.0.0.1:8080"), "`URL` of the server (LETHE_SERVER)")
	cmd.Flags().StringVar(&r.tokenFile, "token-file", os.Getenv("LETHE_TOKEN_FILE"), "`FILE` that holds the token (LETHE_TOKEN_FILE)")
}

func (r *remote) client() (*api.Client, error) {
	token := ""
	if r.tokenFile != "" {
		text, err := readSmallFile(r.tokenFile, 4096)
		if err != nil {
			return nil, fmt.Errorf("read --token-file: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	return api.NewClient(r.server, token, nil)
}
