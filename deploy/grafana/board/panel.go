package board

// A Look is how a panel shows what it asks for.
type Look string

// The looks that there are, by their names in Grafana.
const (
	Stat     Look = "stat"           // one number in a coloured box
	Lines    Look = "timeseries"     // lines over time
	Timeline Look = "state-timeline" // states over time, a row for each series
	Bars     Look = "bargauge"       // a bar for each series, as it is now
	Table    Look = "table"          // the labels of series, as they are now
)

// A Unit is one of Grafana's names of units.
type Unit string

// The units in use.
const (
	Count     Unit = "short"
	Seconds   Unit = "s"
	PerSecond Unit = "cps"
	Bytes     Unit = "bytes"
	Share     Unit = "percentunit"
)

// Colours, by their names in Grafana.
const (
	green  = "green"
	yellow = "yellow"
	orange = "orange"
	red    = "red"
	blue   = "blue"
	purple = "purple"
	grey   = "#8e8e8e"
)

// A Step is from which value on a colour holds.
type Step struct {
	From   float64
	Colour string
}

// some is the step for a count that should be 0. An increase that Prometheus has
// extrapolated need not be whole.
func some(colour string) Step { return Step{0.5, colour} }

// A State is what a value means in words.
type State struct {
	Value  string // such as "0"
	Text   string
	Colour string
}

// A Query is an expression and what its series are called: {{label}} stands for a
// label's value.
type Query struct {
	Expr   string
	Legend string
}

// A Panel is one question that a dashboard answers.
type Panel struct {
	Title string
	About string // what it shows, and what to do if it is bad

	Look    Look
	Unit    Unit
	Queries []Query

	Wide, High int // in Grafana's grid, 24 wide

	Steps   []Step   // above the first colour, which is green
	States  []State  // for values that stand for something
	Colours []State  // of series: Text is the series' name
	Stack   bool     // lines are put upon each other
	Runbook []string // alerts in deploy/RUNBOOK.md

	// MayBeEmpty says why the panel can be empty though all is well. Without it, a
	// test takes an empty answer for a fault.
	MayBeEmpty string
}

// Box is a number that says whether all is well.
func box(title, expr string, unit Unit, steps ...Step) Panel {
	return Panel{Title: title, Look: Stat, Unit: unit, Queries: []Query{{Expr: expr}}, Steps: steps, Wide: 3, High: 4}
}

// lines is a graph of half the width.
func lines(title string, unit Unit, queries ...Query) Panel {
	return Panel{Title: title, Look: Lines, Unit: unit, Queries: queries, Wide: 12, High: 8}
}

func states(title, expr, legend string, states ...State) Panel {
	return Panel{Title: title, Look: Timeline, Unit: Count, Queries: []Query{{expr, legend}}, States: states, Wide: 12, High: 6}
}

func (p Panel) about(text string) Panel {
	p.About = text
	return p
}

func (p Panel) runbook(alerts ...string) Panel {
	p.Runbook = alerts
	return p
}

func (p Panel) size(wide, high int) Panel {
	p.Wide, p.High = wide, high
	return p
}

func (p Panel) stacked(colours ...State) Panel {
	p.Stack, p.Colours = true, colours
	return p
}

func (p Panel) coloured(colours ...State) Panel {
	p.Colours = colours
	return p
}

func (p Panel) lined(steps ...Step) Panel {
	p.Steps = steps
	return p
}

func (p Panel) means(states ...State) Panel {
	p.States = states
	return p
}

func (p Panel) mayBeEmpty(why string) Panel {
	p.MayBeEmpty = why
	return p
}

// A Row is panels under a headline. They flow from left to right, and from line
// to line.
type Row struct {
	Title  string
	Panels []Panel
}

// A Variable is what the reader of a dashboard chooses: a label's values.
type Variable struct {
	Name, Label string // of the variable, and what it is called
	Metric      string // whose label of that name it lists
}

// A Dashboard is one file.
type Dashboard struct {
	Name      string // overview, stores …
	Title     string
	About     string
	Variables []Variable
	Rows      []Row
}

// File is the name of its file.
func (d *Dashboard) File() string { return d.Name + ".json" }

// All returns the dashboards.
func All() []*Dashboard {
	return []*Dashboard{overview(), stores(), queue(), proofs()}
}
