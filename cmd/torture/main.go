//go:build torture

// Command torture is the crash lab: it runs the real service into every kind of
// disaster it knows and checks afterwards, from outside, that no erasure was
// lost, none went too far, and no certificate is false or doubled.
//
//	torture [--lane NAME]... [--size smoke|full|long] [--for DURATION] [--n N] [--seed N] [--report FILE]
//	torture --replay SEED:LANE/CASE
//
// Each lane runs numbered cases that are made from the seed, so a case that
// failed can be had again. The exit status is 0 if all lanes held, 1 if not, 2
// for wrong usage. It is built with the tag torture, and builds the service so.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(torture(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the command line says.
type options struct {
	lanes  []string
	size   string
	limit  time.Duration // for all lanes together; 0 for none
	number int           // cases of each lane; 0 for what the size says
	seed   uint64
	report string
	only   int // the one case that is to be replayed; -1 for all
	part   int // of the cases, which one in every of is this process's
	of     int // 1 for all
	keep   bool
	quiet  bool
}

func parseOptions(args []string, stderr io.Writer) (o options, err error) {
	o.only, o.of = -1, 1
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.SetOutput(stderr)
	var replay string
	f.Func("lane", "run this lane `NAME` (may be repeated; default all)", func(s string) error {
		o.lanes = append(o.lanes, strings.Split(s, ",")...)
		return nil
	})
	f.StringVar(&o.size, "size", "full", "`SIZE` of the run: smoke, full or long")
	f.DurationVar(&o.limit, "for", 0, "end after this `DURATION`, shared among the lanes; cases that did not run are said")
	f.IntVar(&o.number, "n", 0, "`NUMBER` of cases in each lane (default by size)")
	f.Uint64Var(&o.seed, "seed", 1, "`SEED` that all cases are made from")
	f.StringVar(&o.report, "report", "", "write the report as JSON to `FILE`")
	f.StringVar(&replay, "replay", "", "run one case again: `SEED:LANE/CASE`")
	f.Func("part", "run case I of every N, `I/N`: a lane's cases can be shared among processes", o.parsePart)
	f.BoolVar(&o.keep, "keep", false, "keep the folders of cases that failed")
	f.BoolVar(&o.quiet, "quiet", false, "no progress on standard error")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if replay != "" {
		if err := o.parseReplay(replay); err != nil {
			return o, err
		}
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("takes no arguments besides flags")
	}
	if _, ok := sizes()[o.size]; !ok {
		return o, fmt.Errorf("--size must be smoke, full or long")
	}
	for _, name := range o.lanes {
		if _, ok := laneByName(name); !ok {
			return o, fmt.Errorf("there is no lane %q", name)
		}
	}
	return o, nil
}

func (o *options) parsePart(text string) error {
	i, n, _ := strings.Cut(text, "/")
	var err, err2 error
	o.part, err = strconv.Atoi(i)
	o.of, err2 = strconv.Atoi(n)
	if err != nil || err2 != nil || o.part < 0 || o.part >= o.of {
		return fmt.Errorf("must read I/N, with I from 0 to N-1")
	}
	return nil
}

func (o *options) parseReplay(text string) error {
	seed, plan, ok := strings.Cut(text, ":")
	name, number, ok2 := strings.Cut(plan, "/")
	var err, err2 error
	o.seed, err = strconv.ParseUint(seed, 10, 64)
	o.only, err2 = strconv.Atoi(number)
	if !ok || !ok2 || err != nil || err2 != nil || o.only < 0 {
		return fmt.Errorf("--replay must read SEED:LANE/CASE")
	}
	o.lanes, o.keep = []string{name}, true
	return nil
}

func torture(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "torture:", err)
		return 2
	}
	lab, err := newLab(ctx, o, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "torture:", err)
		return 1
	}
	defer lab.close()
	r := lab.run(ctx)
	r.print(stdout)
	if o.report != "" {
		if err := r.write(o.report); err != nil {
			fmt.Fprintln(stderr, "torture:", err)
			return 1
		}
	}
	if !r.Held {
		return 1
	}
	return 0
}
