package httpapi_test

import (
	"os"
	"testing"

	"hookwheel/httpapi/apitest"
)

func TestMain(m *testing.M) { os.Exit(apitest.Report(m.Run())) }
