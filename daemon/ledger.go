package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/facegate/facegate/daemon/internal/config"
	"github.com/facegate/facegate/daemon/internal/journal"
)

// runLedger sums up the calls of compare services by day and provider.
func runLedger(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("ledger", "[--json] --config FILE")
	asJSON := f.Bool("json", false, "print one JSON object")
	path := f.String("config", "", "`FILE` with the configuration")
	if err := f.parse(args); err != nil {
		return err
	}
	if *path == "" || f.NArg() > 0 {
		return usageError("ledger: give --config FILE, and perhaps --json")
	}
	cfg, err := config.Load(*path)
	if err != nil {
		return fail(exitConfig, err)
	}
	l, err := journal.ReadLedger(ctx, filepath.Join(cfg.Data, "journal.db"))
	if err != nil {
		return fail(exitConfig, err)
	}
	if *asJSON {
		return json.NewEncoder(out).Encode(l)
	}
	return printLedger(out, l)
}

func printLedger(out io.Writer, l journal.Ledger) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "day\tprovider\tcalls\tfailed\tcut off\tKiB sent\tmean ms\tcost\t")
	var calls int
	var cost float64
	for _, line := range l.Lines {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%.0f\t%.0f\t%g\t\n",
			line.Day, line.Provider, line.Calls, line.Failed, line.CutOff, float64(line.Sent)/1024, line.MeanMS, line.Cost)
		calls, cost = calls+line.Calls, cost+line.Cost
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d calls, cost %g; cloud changed %d of %d decisions\n", calls, cost, l.Changed, l.Decisions)
	return err
}
