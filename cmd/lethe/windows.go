package main

// windows says how many tasks of each store may be queued or running. The
// process takes as many at once as all windows together, so that tasks waiting
// for a busy store never keep another store from being served.
func (s *service) windows() windows {
	w, factor := windows{}, windowFactor
	if !s.config.alone() {
		factor = sharedFactor
	}
	for _, st := range s.stores {
		w[st.Name] = factor * max(1, st.Concurrency)
	}
	return w
}

type windows map[string]int

func (w windows) sum() (n int) {
	for _, room := range w {
		n += room
	}
	return n
}
