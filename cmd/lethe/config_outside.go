package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"lethe/audit"
	"lethe/audit/anchor"
	"lethe/audit/proof"
	authority "lethe/audit/stamp"
	"lethe/audit/witness"
)

// logHeadFile is the anchor that every log has, in the data folder. It tells of
// a ledger file that was put back, not of a folder that was.
const logHeadFile = "log.head"

// maxEvidenceFile bounds a policy and a file of root certificates, in bytes.
const maxEvidenceFile = 1 << 20

// An AnchorConfig is one place outside the ledger where the newest signed head
// of the log is kept: a file, an HTTP server or an S3 object. At the start, the
// log must be a continuation of what is kept there, or nothing is appended.
type AnchorConfig struct {
	// file: the path of a file, best on another disk or host. Its folder must be
	// there.
	File string `yaml:"file"`

	// put: an http or https URL that takes the head by PUT. Its query is kept as
	// secret as a token.
	Put Secret `yaml:"put"`

	// get: the URL that gives it back. Default that of put.
	Get Secret `yaml:"get"`

	// token_file: the path of a file with a bearer token for both.
	TokenFile string `yaml:"token_file"`

	// s3: an object in a bucket.
	S3 *S3Config `yaml:"s3"`
}

// An S3Config names one object. Its credentials need s3:PutObject,
// s3:GetObject and s3:ListBucket, and s3:PutObjectRetention with retain.
type S3Config struct {
	// endpoint: the URL of the service, such as
	// https://s3.eu-central-1.amazonaws.com.
	Endpoint string `yaml:"endpoint"`

	// region, bucket, key: which object. The key is made of letters, digits and
	// ._- with slashes.
	Region string `yaml:"region"`
	Bucket string `yaml:"bucket"`
	Key    string `yaml:"key"`

	// key_id_file, secret_file: the paths of files with the access key's ID and
	// with the key.
	KeyIDFile  string `yaml:"key_id_file"`
	SecretFile string `yaml:"secret_file"`

	// session_file: the path of a file with a session token. Default none.
	SessionFile string `yaml:"session_file"`

	// retain: how long each version is locked (Object Lock, compliance mode), so
	// that nobody can delete it. Default not at all.
	Retain Duration `yaml:"retain"`
}

// A StampConfig names a time stamping authority (RFC 3161).
type StampConfig struct {
	// url: where it is asked.
	URL string `yaml:"url"`

	// roots_file: the path of a PEM file with the root certificates that its
	// tokens must lead to.
	RootsFile string `yaml:"roots_file"`

	// every: how much time to let pass between two time stamps. Default 24h.
	Every Duration `yaml:"every"`
}

// paths returns the fields that are paths.
func (a *AnchorConfig) paths() []*string {
	all := []*string{&a.File, &a.TokenFile}
	if a.S3 != nil {
		all = append(all, &a.S3.KeyIDFile, &a.S3.SecretFile, &a.S3.SessionFile)
	}
	return all
}

// open returns the anchor. It is not asked for anything.
func (a *AnchorConfig) open() (audit.Anchor, error) {
	switch {
	case a.File != "" && a.Put == "" && a.S3 == nil && a.Get == "" && a.TokenFile == "":
		return anchor.NewFile(a.File), nil
	case a.Put != "" && a.File == "" && a.S3 == nil:
		return anchor.NewHTTP(anchor.HTTPOptions{Put: a.Put.Reveal(), Get: a.Get.Reveal(), TokenFile: a.TokenFile})
	case a.S3 != nil && a.File == "" && a.Put == "" && a.Get == "" && a.TokenFile == "":
		return anchor.NewS3(anchor.S3Options{
			Endpoint: a.S3.Endpoint, Region: a.S3.Region, Bucket: a.S3.Bucket, Key: a.S3.Key,
			KeyIDFile: a.S3.KeyIDFile, SecretFile: a.S3.SecretFile, SessionFile: a.S3.SessionFile,
			Retain: time.Duration(a.S3.Retain), Now: time.Now,
		})
	}
	return nil, errors.New("must have either file, or put (with get and token_file if need be), or s3")
}

// logAnchors returns the anchors of the log: the one in the data folder and
// those that are configured.
func (c *Config) logAnchors() ([]audit.Anchor, error) {
	all := []audit.Anchor{anchor.NewFile(filepath.Join(c.Data, logHeadFile))}
	for i := range c.Anchors {
		a, err := c.Anchors[i].open()
		if err != nil {
			return nil, fmt.Errorf("anchors[%d]: %w", i, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// logWitnesses returns clients of the witnesses that the policy file names with
// a URL.
func (c *Config) logWitnesses() ([]audit.Witness, error) {
	if c.Witnesses == "" {
		return nil, nil
	}
	text, err := readSmallFile(c.Witnesses, maxEvidenceFile)
	if err != nil {
		return nil, err
	}
	policy, err := proof.ParsePolicy(text)
	if err != nil {
		return nil, err
	}
	var all []audit.Witness
	for _, w := range policy.Witnesses() {
		if w.URL == "" {
			continue // one that others ask
		}
		client, err := witness.NewClient(w.URL, w.Key, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, client)
	}
	if len(all) == 0 {
		return nil, errors.New("names no witness with a URL")
	}
	return all, nil
}

// logStampers returns the time stamping authority, if there is one.
func (c *Config) logStampers() ([]audit.Stamper, error) {
	if c.Stamps == nil {
		return nil, nil
	}
	text, err := readSmallFile(c.Stamps.RootsFile, maxEvidenceFile)
	if err != nil {
		return nil, err
	}
	roots, err := authority.Roots(text)
	if err != nil {
		return nil, err
	}
	a, err := authority.New(c.Stamps.URL, roots, nil)
	if err != nil {
		return nil, err
	}
	return []audit.Stamper{a}, nil
}

// checkOutside says what is wrong with those who keep, cosign and time stamp
// the log's heads. None of them is asked.
func (c *Config) checkOutside(add func(field, problem string)) {
	seen := map[string]bool{filepath.Join(c.Data, logHeadFile): true}
	for i := range c.Anchors {
		field := fmt.Sprintf("anchors[%d]", i)
		a, err := c.Anchors[i].open()
		switch {
		case err != nil:
			add(field, err.Error())
		case c.Anchors[i].Put == "" && seen[a.Name()]: // a server may keep several
			add(field, "is there already")
		default:
			seen[a.Name()] = true
		}
	}
	if _, err := c.logWitnesses(); err != nil {
		add("witnesses", err.Error())
	}
	if _, err := c.logStampers(); err != nil {
		add("stamps", err.Error())
	}
}
