package depot

import (
	"os"
	"testing"

	"inkwell/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.ReportNotRun()
	os.Exit(code)
}
