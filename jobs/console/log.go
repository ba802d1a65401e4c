package console

import "net/http"

// A logView is what the page of the log shows.
type logView struct{ Key, Head string }

// log is GET /console/log.
func (c *Console) log(v *visit) (answer, error) {
	var view logView
	if c.PublicKey != nil {
		view.Key = c.PublicKey()
	}
	if c.Head != nil {
		head, err := c.Head(v.ctx)
		if err != nil {
			return answer{}, err
		}
		view.Head = string(head)
	}
	return c.show(v, http.StatusOK, "log", "The log", view), nil
}
