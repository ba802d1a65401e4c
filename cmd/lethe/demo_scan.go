package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"lethe/store/mem0"
)

// demoSecrets is what must not be left in any file: the person's texts, and
// the name that her rows go by.
func demoSecrets(memories []mem0.Memory) [][]byte {
	secrets := [][]byte{[]byte(demoPerson)}
	for _, m := range memories {
		if m.UserID == demoPerson {
			secrets = append(secrets, []byte(m.Text))
		}
	}
	return secrets
}

// demoScan prints, for each file of the store and for lethe's own data as a
// whole, how many of the secrets can be read in the bytes, and returns the sum.
func (c *console) demoScan(dir string, secrets [][]byte) (traces int, err error) {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "file\tbytes\ther texts\ther name\t")
	line := func(name string, size, texts, named int) {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", name, size, texts, named)
	}
	ownSize, ownTexts, ownNamed := 0, 0, 0
	own := filepath.Join(dir, "lethe-data") + string(filepath.Separator)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		texts := 0
		for _, s := range secrets[1:] {
			if bytes.Contains(text, s) {
				texts++
			}
		}
		named := bytes.Count(text, secrets[0])
		traces += texts + named
		if strings.HasPrefix(path, own) {
			ownSize, ownTexts, ownNamed = ownSize+len(text), ownTexts+texts, ownNamed+named
			return nil
		}
		line(name, len(text), texts, named)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("scan the demo's files: %w", err)
	}
	line("lethe-data/*", ownSize, ownTexts, ownNamed)
	return traces, w.Flush()
}
