package console

import (
	"net/http"
	"slices"

	"lethe/jobs"
)

// pageSize is how many requests the list shows at once.
const pageSize = 50

// A listView is what the list shows.
type listView struct {
	Filter  string // a status, or "open" or "ended"
	Choices []choice
	Items   []jobs.Request
	Next    string // cursor
	Later   bool   // this is not the first page
}

// A choice is one way to filter.
type choice struct{ Value, Words string }

// choices lists the filters: all that are open, the open statuses, all that have
// ended, the ends.
func choices() []choice {
	list := []choice{{"open", "Open, nearest deadline first"}, {"ended", "Ended, newest first"}}
	for _, s := range jobs.Statuses() {
		list = append(list, choice{string(s), statusWords(s)})
	}
	return list
}

// statuses returns the statuses that a filter stands for, none for one that is
// not known.
func statuses(filter string) []jobs.Status {
	if s, ok := jobs.ParseStatus(filter); ok {
		return []jobs.Status{s}
	}
	if filter != "open" && filter != "ended" {
		return nil
	}
	return slices.DeleteFunc(jobs.Statuses(), func(s jobs.Status) bool { return s.Ended() != (filter == "ended") })
}

// list is GET /.
func (c *Console) list(v *visit) (answer, error) {
	q := v.r.URL.Query()
	view := listView{Filter: q.Get("status"), Choices: choices(), Later: q.Get("cursor") != ""}
	if view.Filter == "" {
		view.Filter = "open"
	}
	wanted := statuses(view.Filter)
	if wanted == nil || len(q.Get("cursor")) > 512 {
		return answer{}, jobs.ErrNotFound
	}
	var err error
	if wanted[0].Ended() {
		view.Items, view.Next, err = c.Book.List(v.ctx, v.by, wanted, pageSize, q.Get("cursor"))
	} else {
		view.Items, view.Next, err = c.Book.ListDue(v.ctx, v.by, "", wanted, pageSize, q.Get("cursor"))
	}
	if err != nil {
		return answer{}, err
	}
	return c.show(v, http.StatusOK, "list", "Requests", view), nil
}
