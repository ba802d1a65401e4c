package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lethe/jobs/api"
	"lethe/store"
)

// certificateFlags are what certificate knows besides the request.
type certificateFlags struct {
	file, keyFile      string
	accepted, newest   bool
	memory, memoryFile string
}

func certificateCommand(c *console) *cobra.Command {
	var (
		r remote
		f certificateFlags
	)
	cmd := &cobra.Command{
		Use:   "certificate REQUEST_ID",
		Short: "Fetch the certificate of a request that has ended",
		Long: `Fetches the certificate: one text file that anyone can check offline with
lethe verify and the log's public key (lethe keys).

With --subject-key it also fetches the key that opens the subject commitment in
the log, so that whoever knows the selector can show that the certificate is
about it. The server destroys its own copy on schedule; keep this one as you
keep other personal data.

With --memory-file or --memory it fetches the proof of what became of one memory
instead: a file that holds the certificate, and neither the memory's ID nor the
subject key, which are both needed to check it. It can be had until the server
destroys its copy of the key. --memory-file keeps the ID out of the process list,
so use it in scripts.

With --newest the certificate is cut anew for the log's newest head. It says the
same, shows that the log still has the entry, and carries the signatures that
heads get by now.`,
		Example: `  lethe certificate 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a -o PRIV-123.tlog-proof
  lethe verify PRIV-123.tlog-proof --key "$(lethe keys)"
  lethe certificate 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a --memory-file id.txt -o m.memory-proof`,
		Args:        wants("REQUEST_ID"),
		Annotations: map[string]string{exitNote: exitSection(exitNotFound)},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			text, err := f.fetch(cmd, c.stdin, client, args[0])
			if err != nil {
				return err
			}
			if err := checkFile(text, args[0], f.accepted, cmd.Flags().Changed("memory") || cmd.Flags().Changed("memory-file")); err != nil {
				return fmt.Errorf("fetch the certificate: %w", err)
			}
			if f.keyFile != "" {
				key, err := client.SubjectKey(cmd.Context(), args[0])
				if err != nil {
					return fmt.Errorf("fetch the subject key: %w", err)
				}
				if err := writeFile(f.keyFile, fmt.Appendf(nil, "%x\n", key), 0o600); err != nil {
					return err
				}
			}
			if f.file == "" || f.file == "-" {
				_, err = c.stdout.Write(text)
				return err
			}
			return writeFile(f.file, text, 0o644)
		},
	}
	r.add(cmd)
	f.add(cmd)
	return cmd
}

func (f *certificateFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "output", "o", "", "write the certificate to `FILE` instead of standard output")
	fs.StringVar(&f.keyFile, "subject-key", "", "also write the subject key, in hexadecimal, to `FILE`")
	fs.BoolVar(&f.accepted, "accepted", false, "fetch the proof that the request was accepted, instead")
	fs.BoolVar(&f.newest, "newest", false, "have it cut anew for the log's newest head")
	fs.StringVar(&f.memory, "memory", "", "fetch the proof of what became of the memory with this `ID`, instead")
	fs.StringVar(&f.memoryFile, "memory-file", "", "the same, with the ID in `FILE` (- for stdin)")
}

// fetch fetches the one file that the flags ask for.
func (f *certificateFlags) fetch(cmd *cobra.Command, stdin io.Reader, client *api.Client, id string) ([]byte, error) {
	ctx, byFlag, byFile := cmd.Context(), cmd.Flags().Changed("memory"), cmd.Flags().Changed("memory-file")
	switch {
	case byFlag && byFile:
		return nil, usagef(cmd, "give the memory's ID once: --memory or --memory-file")
	case (byFlag || byFile) && (f.accepted || f.newest):
		return nil, usagef(cmd, "--accepted and --newest are not for the proof of a memory")
	case byFlag || byFile:
		memoryID, err := f.memoryID(byFile, stdin)
		if err != nil {
			return nil, err
		}
		return client.MemoryProof(ctx, id, memoryID)
	case f.newest:
		return client.Reissued(ctx, id, f.accepted)
	case f.accepted:
		return client.Receipt(ctx, id)
	}
	return client.Certificate(ctx, id)
}

// memoryID reads the ID. One line end belongs to the file and not to the ID, as
// does a byte order mark.
func (f *certificateFlags) memoryID(byFile bool, stdin io.Reader) (string, error) {
	if !byFile {
		return f.memory, store.CheckValue("--memory", f.memory)
	}
	const limit = 2 * store.MaxValueBytes
	var text []byte
	var err error
	if f.memoryFile == "-" {
		text, err = io.ReadAll(io.LimitReader(stdin, limit))
	} else {
		text, err = readSmallFile(f.memoryFile, limit)
	}
	if err != nil {
		return "", fmt.Errorf("read --memory-file: %w", err)
	}
	id := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(string(text), "\ufeff"), "\n"), "\r")
	return id, store.CheckValue("--memory-file", id)
}

// writeFile makes the file whole or not at all: whoever finds a certificate
// under its name can rely on it.
func writeFile(name string, text []byte, mode fs.FileMode) error {
	// A device or a pipe is written to: /dev/null must not become a file.
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		if err := os.WriteFile(name, text, mode); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return nil
	}
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
