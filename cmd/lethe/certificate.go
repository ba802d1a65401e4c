package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func certificateCommand(c *console) *cobra.Command {
	var (
		r              remote
		file, keyFile  string
		receiptInstead bool
	)
	cmd := &cobra.Command{
		Use:   "certificate REQUEST_ID",
		Short: "Fetch the certificate of a request that has ended",
		Long: `Fetches the certificate: one text file that anyone can check offline with
lethe verify and the log's public key (lethe keys).

With --subject-key it also fetches the key that opens the subject commitment in
the log, so that whoever knows the selector can show that the certificate is
about it. The server destroys its own copy on schedule; keep this one as you
keep other personal data.`,
		Example: `  lethe certificate 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a -o PRIV-123.tlog-proof
  lethe verify PRIV-123.tlog-proof --key "$(lethe keys)"`,
		Args:        wants("REQUEST_ID"),
		Annotations: map[string]string{exitNote: exitSection(exitNotFound)},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			fetch := client.Certificate
			if receiptInstead {
				fetch = client.Receipt
			}
			text, err := fetch(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if keyFile != "" {
				key, err := client.SubjectKey(cmd.Context(), args[0])
				if err != nil {
					return fmt.Errorf("fetch the subject key: %w", err)
				}
				if err := writeFile(keyFile, fmt.Appendf(nil, "%x\n", key), 0o600); err != nil {
					return err
				}
			}
			if file == "" || file == "-" {
				_, err = c.stdout.Write(text)
				return err
			}
			return writeFile(file, text, 0o644)
		},
	}
	r.add(cmd)
	cmd.Flags().StringVarP(&file, "output", "o", "", "write the certificate to `FILE` instead of standard output")
	cmd.Flags().StringVar(&keyFile, "subject-key", "", "also write the subject key, in hexadecimal, to `FILE`")
	cmd.Flags().BoolVar(&receiptInstead, "accepted", false, "fetch the proof that the request was accepted, instead")
	return cmd
}

// writeFile makes the file whole or not at all: whoever finds a certificate
// under its name can rely on it.
func writeFile(name string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".lethe-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(f.Name()) // of no effect once it is renamed
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
