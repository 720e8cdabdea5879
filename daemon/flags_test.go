package main

import (
	"bytes"
	"log"
	"log/slog"
	"strings"
	"testing"
)

func TestLibrariesWriteToOurLog(t *testing.T) {
	old, flags := log.Writer(), log.Flags()
	t.Cleanup(func() { log.SetOutput(old); log.SetFlags(flags) })
	var out bytes.Buffer
	takeLibraryLog(slog.New(slog.NewTextHandler(&out, nil)))
	log.Println("GPIOLine.Read(): ", "i/o error")
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `level=WARN msg="library complains" err="GPIOLine.Read():  i/o error"`) {
		t.Errorf("the log is %q", got)
	}
}
