package anchor

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what S3 asks for, as a checksum
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// S3Options say which object keeps the head. Whoever has the credentials needs
// s3:PutObject and s3:GetObject for it, s3:ListBucket, without which S3 does not
// say whether an object is there, and s3:PutObjectRetention with Retain.
type S3Options struct {
	Endpoint string // http or https URL of the service, such as https://s3.eu-central-1.amazonaws.com
	Region   string
	Bucket   string
	Key      string // of the object: segments of letters, digits, and ._- with slashes between them

	KeyIDFile   string // file with the access key's ID
	SecretFile  string // file with the secret access key
	SessionFile string // file with the session token; "" for none

	// Retain has each version locked for so long (Object Lock, in compliance
	// mode: nobody can delete it, the account's owner included). The bucket must
	// have been made with Object Lock. 0 for no lock.
	Retain time.Duration

	Now       func() time.Time  // signatures say when they were made
	Transport http.RoundTripper // nil for http.DefaultTransport
}

// An S3 is an anchor in one object of a bucket. In a bucket that keeps versions
// each head is one.
type S3 struct {
	S3Options
	url    string
	disk   disk
	signer *v4.Signer
	client *http.Client
}

// NewS3 returns the anchor in an object. The service is not asked.
func NewS3(o S3Options) (*S3, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("S3 anchor: the endpoint must be an http or https URL without user, path and query")
	}
	plain := func(s, more string) bool {
		return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-"+more) == "" && !strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".")
	}
	if !plain(o.Region, "") || !plain(o.Bucket, ".") || len(o.Bucket) > 63 {
		return nil, errors.New("S3 anchor: the region or the bucket has a name that none can have")
	}
	for segment := range strings.SplitSeq(o.Key, "/") {
		if !plain(segment, "._ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			return nil, errors.New("S3 anchor: the object's key must be of letters, digits, and ._- with single slashes between them")
		}
	}
	if o.KeyIDFile == "" || o.SecretFile == "" || o.Now == nil || o.Retain < 0 || len(o.Key) > 1024 {
		return nil, errors.New("S3 anchor: credentials or a clock are missing, or a value is out of range")
	}
	return &S3{
		S3Options: o, url: u.Scheme + "://" + u.Host + "/" + o.Bucket + "/" + o.Key, disk: newDisk(), client: newClient(o.Transport),
		signer: v4.NewSigner(func(s *v4.SignerOptions) { s.DisableURIPathEscaping = true }), // S3 escapes once
	}, nil
}

// Name returns the bucket and the key.
func (s *S3) Name() string { return "s3://" + s.Bucket + "/" + s.Key }

// Load returns the head, or nil if there never was such an object. One that
// was deleted is an error.
func (s *S3) Load(ctx context.Context) ([]byte, error) {
	head, err := s.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the head kept at %s: %w", s.Name(), err)
	}
	return head, nil
}

func (s *S3) load(ctx context.Context) ([]byte, error) {
	resp, err := s.send(ctx, http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := readAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusOK:
		return body, whole(body)
	case resp.Header.Get("x-amz-delete-marker") == "true":
		return nil, errors.New("the object was deleted")
	case resp.StatusCode == http.StatusNotFound && errorCode(body) == "NoSuchKey":
		return nil, nil
	}
	return nil, refused(resp, body)
}

// Store replaces the head, or adds a version. On nil the service has it.
func (s *S3) Store(ctx context.Context, head []byte) error {
	err := whole(head)
	if err == nil {
		err = s.store(ctx, head)
	}
	if err != nil {
		return fmt.Errorf("keep the head at %s: %w", s.Name(), err)
	}
	return nil
}

func (s *S3) store(ctx context.Context, head []byte) error {
	resp, err := s.send(ctx, http.MethodPut, head)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	body, err := readAll(resp.Body)
	if err != nil {
		return fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	return refused(resp, body)
}

// send signs a request for the object and sends it.
func (s *S3) send(ctx context.Context, method string, body []byte) (*http.Response, error) {
	credentials, err := do(ctx, s.disk, s.credentials)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("make request")
	}
	now := s.Now().UTC()
	digest := sha256.Sum256(body)
	req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(digest[:]))
	if body != nil {
		sum := md5.Sum(body)                                                     //nolint:gosec // a checksum
		req.Header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:])) // asked for with a lock
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
		if s.Retain > 0 {
			req.Header.Set("X-Amz-Object-Lock-Mode", "COMPLIANCE")
			req.Header.Set("X-Amz-Object-Lock-Retain-Until-Date", now.Add(s.Retain).Format(time.RFC3339))
		}
	}
	if err := s.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(digest[:]), "s3", s.Region, now); err != nil {
		return nil, errors.New("sign request")
	}
	return perform(s.client, req)
}

func (s *S3) credentials() (c aws.Credentials, err error) {
	if c.AccessKeyID, err = readSecret(s.KeyIDFile); err != nil {
		return c, err
	}
	if c.SecretAccessKey, err = readSecret(s.SecretFile); err != nil {
		return c, err
	}
	if s.SessionFile != "" {
		c.SessionToken, err = readSecret(s.SessionFile)
	}
	return c, err
}

// errorCode returns the code of an error that S3 answers, such as NoSuchKey;
// "" if it is not one.
func errorCode(body []byte) string {
	var e struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}
	if xml.Unmarshal(body, &e) != nil || len(e.Code) > 64 || strings.ContainsFunc(e.Code, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) {
		return ""
	}
	return e.Code
}

func refused(resp *http.Response, body []byte) error {
	if code := errorCode(body); code != "" {
		return fmt.Errorf("status %d %s", resp.StatusCode, code)
	}
	return fmt.Errorf("status %d", resp.StatusCode)
}
