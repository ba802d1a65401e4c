package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"lethe/audit"
	authority "lethe/audit/stamp"
)

func logStampsCommand(c *console) *cobra.Command {
	var s source
	cmd := &cobra.Command{
		Use:   "stamps DIR",
		Short: "Write out the time stamps that an authority gave for the log's heads",
		Long: `Writes each time stamp (RFC 3161) to DIR, as SIZE.tsr, beside the head of that
size which was stamped, SIZE.checkpoint. Anyone can check them with other
software and the authority's root certificates:

  openssl ts -verify -token_in -in SIZE.tsr -data SIZE.checkpoint -CAfile roots.pem

It says that the head, and so every entry below SIZE, was there by that time. That
a certificate's head is of the same log, lethe log consistent says.

Prints what each says, checked with the roots_file of the configuration if it
has one.`,
		Example:     `  lethe log stamps --config lethe.yaml /srv/evidence`,
		Args:        wants("DIR"),
		Annotations: map[string]string{exitNote: exitSection(exitUnverified)},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !s.direct() {
				return usagef(cmd, "--config or --data must say where the ledger is: a server does not give its time stamps")
			}
			return c.writeStamps(cmd.Context(), &s, args[0])
		},
	}
	cmd.Flags().StringVar(&s.config, "config", "", "read the data folder that `FILE` names")
	cmd.Flags().StringVar(&s.data, "data", "", "read the data folder `DIR`")
	return cmd
}

func (c *console) writeStamps(ctx context.Context, s *source, dir string) error {
	l, done, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer done()
	roots, err := s.stampRoots()
	if err != nil {
		return err
	}
	stamps, err := l.(guardedLog).Stamps(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // to be handed out
		return fmt.Errorf("write time stamps: %w", err)
	}
	for _, x := range stamps {
		if err := c.writeStamp(dir, x, roots); err != nil {
			return err
		}
	}
	c.talk("%s in %s\n", counted(len(stamps), "time stamp", "time stamps"), dir)
	return nil
}

// stampRoots returns the roots that the configuration names, or nil.
func (s *source) stampRoots() (*x509.CertPool, error) {
	config, err := Load(s.config, Overrides{Data: s.data})
	if err != nil || config.Stamps == nil {
		return nil, err
	}
	text, err := readSmallFile(config.Stamps.RootsFile, maxEvidenceFile)
	if err != nil {
		return nil, fmt.Errorf("read roots_file: %w", err)
	}
	return authority.Roots(text)
}

func (c *console) writeStamp(dir string, x audit.Stamp, roots *x509.CertPool) error {
	said := "not checked: no roots_file is configured"
	if roots != nil {
		at, err := authority.Check(x.Token, x.Head, roots)
		if err != nil {
			return fmt.Errorf("the time stamp of size %d: %w", x.Size, err)
		}
		said = "was there at " + at.UTC().Format(time.RFC3339)
	}
	name := filepath.Join(dir, fmt.Sprint(x.Size))
	for suffix, text := range map[string][]byte{".checkpoint": x.Head, ".tsr": x.Token} {
		if err := writeFile(name+suffix, text, 0o644); err != nil {
			return err
		}
	}
	c.answer("%d entries, %s: %s\n", x.Size, x.Authority, said)
	return nil
}
