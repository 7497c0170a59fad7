package rotate

import (
	"testing"

	"inkwell/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
