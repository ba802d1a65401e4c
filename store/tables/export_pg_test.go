package tables

import "context"

// RewriteThen is Purge in the database alone, with something that happens
// between the rewrite of the tables and the look into them, given a
// file of rows and one that the rewrite gave up. If deaf, it does
// not hear what the server says that it had to keep.
func (r *Rewriter) RewriteThen(ctx context.Context, deaf bool, then func(path, before string)) error {
	w, err := r.session(ctx)
	if err != nil {
		return err
	}
	defer w.db.Close()
	leaves, err := r.leaves(ctx)
	if err != nil {
		return err
	}
	var done []pgRewritten
	for _, leaf := range leaves {
		if leaf.Kind == "p" {
			continue
		}
		one, err := w.rewrite(ctx, leaf)
		if err != nil {
			return err
		}
		if deaf {
			one.kept = -1
		}
		done = append(done, one)
	}
	if _, err := w.db.ExecContext(ctx, "CHECKPOINT"); err != nil { // or it would write over what then does
		return err
	}
	for _, f := range done[0].files {
		if f.Rows && f.Size > 0 {
			then(f.Path, done[0].old[0].Path)
			break
		}
	}
	return w.look(ctx, done)
}

// CheckPage is the check of one page: see pageCheck.
func CheckPage(page []byte, horizon uint32, end uint64, kept int64) error {
	return pageCheck{horizon, end, kept}.page(page)
}

// The answers of CheckPage.
var (
	ErrResidue = errResidue
	ErrLayout  = errLayout
)

// LinksKept is how many links Erase and Remaining keep in memory.
func (s *Postgres) LinksKept() (erase, remaining int) { return s.backlinks.links, s.seen.links }

const StaleLinks = pgStaleLinks
