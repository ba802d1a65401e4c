package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"lethe/jobs"
	"lethe/jobs/api"
)

func approveCommand(c *console) *cobra.Command {
	var (
		r    remote
		hash string
	)
	cmd := &cobra.Command{
		Use:   "approve REQUEST_ID",
		Short: "Approve the plan of a request that waits",
		Long: `Approves one plan of a request that waits for a second person. Look at it first,
with lethe status, which shows its counts and its hash: only the plan with the
hash that is given is approved. Whoever filed a request may not approve it.

Before anything is erased the plan is counted again. If that is too far from what
was approved, the plan is made anew and waits again.`,
		Example:     `  lethe approve 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a --plan-hash sha256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU`,
		Args:        wants("REQUEST_ID"),
		Annotations: map[string]string{exitNote: exitSection(exitNotFound)},
		RunE: func(cmd *cobra.Command, args []string) error {
			if hash == "" {
				return usagef(cmd, "--plan-hash is missing: lethe status shows it with the plan")
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			req, err := client.Approve(cmd.Context(), args[0], hash)
			if err != nil {
				return err
			}
			c.answer("%s\n", req.Status)
			return nil
		},
	}
	r.add(cmd)
	cmd.Flags().StringVar(&hash, "plan-hash", "", "`HASH` of the plan that you have looked at")
	return cmd
}

func rejectCommand(c *console) *cobra.Command {
	var (
		r      remote
		reason string
	)
	cmd := &cobra.Command{
		Use:   "reject REQUEST_ID",
		Short: "Turn a request down",
		Long: `Ends a request of which nothing has been erased. Its certificate says that it was
turned down, and why. Once a batch has been begun it is too late: cancel it.`,
		Example:     `  lethe reject 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a --reason not-identified`,
		Args:        wants("REQUEST_ID"),
		Annotations: map[string]string{exitNote: exitSection(exitNotFound)},
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usagef(cmd, "--reason is missing: a code such as not-identified")
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			req, err := client.Reject(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			c.answer("%s\n", req.Status)
			return nil
		},
	}
	r.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`CODE` that says why, such as not-identified; it stands in the certificate")
	return cmd
}

// tellApproval says what people have to do about a request that waits for them.
func tellApproval(w io.Writer, r api.Request) {
	if r.Status != jobs.AwaitingApproval {
		return
	}
	for _, x := range r.Approval.Beyond {
		_, _ = fmt.Fprintf(w, "waits: %s\n", excess(x))
	}
	_, _ = fmt.Fprintf(w, "a second person, who did not file it, looks at the plan and says\n"+
		"  lethe approve %s --plan-hash %s\nor\n  lethe reject %s --reason CODE\n", r.ID, legible(r.PlanHash), r.ID)
}

// excess words one reason why a plan has to be approved.
func excess(x jobs.Excess) string {
	where := "in all stores"
	switch {
	case x.Place != "":
		where = "in " + x.Store + ", " + x.Place
	case x.Store != "":
		where = "in " + x.Store
	}
	where = legible(where)
	switch x.Code {
	case jobs.BeyondAlways:
		return "every request is approved here"
	case jobs.BeyondRows:
		return fmt.Sprintf("%d rows %s, more than %d (max_rows)", x.Found, where, x.Of)
	case jobs.BeyondFraction:
		return fmt.Sprintf("%d of %d rows %s (max_fraction)", x.Found, x.Of, where)
	case jobs.BeyondDrifted:
		if x.Place == "" {
			return "the data map of " + legible(x.Store) + " is another than when the plan was approved"
		}
		return fmt.Sprintf("%d rows %s, no longer %d as approved (tolerance)", x.Found, where, x.Of)
	case jobs.BeyondResidue:
		return fmt.Sprintf("%d more IDs found while verifying %s, after %d had been planned", x.Found, where, x.Of)
	case jobs.BeyondUnusual:
		return fmt.Sprintf("%d rows %s, many times what sweeps of the policy usually find; up to %d would be usual", x.Found, where, x.Of)
	}
	return legible(x.Code)
}
