package jobs

import "time"

// MaxNotifyURL is the largest size of a notify_url, in bytes.
const MaxNotifyURL = 2048

// A Notify says who can be told when the status of a request changes. An
// Intake without one tells nobody, and refuses a notify_url.
type Notify struct {
	Endpoints []string // names of those that are told of every request

	// Check returns what is wrong with the URL of a Submission, or "". It must
	// not repeat it.
	Check func(url string) (problem string)

	// Keys seal the URLs, each with a key of its own: it has to be read after its
	// request has been wiped.
	Keys interface {
		CreateNotify(request string) error
		DestroyNotify(request string) error
	}
}

// A Notice is one change of one request's status, for one of those who are to be
// told. It names nobody, but for the URL, which is a secret.
type Notice struct {
	ID       string // "REQUEST-SEQ": the same for all who are told, and at every try
	Request  string
	Endpoint string // the name of a configured one, or "" for the request's own URL
	Seq      int    // 1, 2, … within the request
	URL      string // the request's own
	Body     []byte // the same bytes at every try
	At       time.Time
	Attempts int // tries so far, this one included
}

// notifyOf checks whom a Submission wants to have told.
func (in *Intake) notifyOf(s Submission) error {
	if s.NotifyURL == "" {
		return nil
	}
	if in.Notify == nil {
		return &Invalid{"notify_url", "must not be given: this service tells nobody; the operator can set webhooks.secret_file in the configuration"}
	}
	if problem := in.Notify.Check(s.NotifyURL); problem != "" {
		return &Invalid{"notify_url", problem}
	}
	return nil
}

// sealNotify makes the key of the URL, and names all who are to be told.
func (in *Intake) sealNotify(a *Acceptance, s Submission) error {
	if in.Notify == nil {
		return nil
	}
	a.Endpoints, a.NotifyURL = in.Notify.Endpoints, s.NotifyURL
	if s.NotifyURL == "" {
		return nil
	}
	return in.Notify.Keys.CreateNotify(a.Request.ID)
}

// forgetNotify destroys the key made for a request that was not filed.
func (in *Intake) forgetNotify(id string, s Submission) error {
	if in.Notify == nil || s.NotifyURL == "" {
		return nil
	}
	return in.Notify.Keys.DestroyNotify(id)
}
