package kafka

import (
	"testing"

	"inkwell/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
