package chaos

import (
	"os"
	"testing"

	"chronik/test/chaos/rig"
)

func TestMain(m *testing.M) {
	code := m.Run()
	rig.RemoveBinaries()
	os.Exit(code)
}
