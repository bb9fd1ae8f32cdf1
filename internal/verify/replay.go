package verify

import (
	"io"

	"chronik/internal/verify/history"
)

// Judge judges a history of JSON lines, as Options.History gets it.
func Judge(r io.Reader, o history.Options) (*Report, error) {
	c := history.NewChecker(o)
	report := new(Report)
	err := history.Read(r, func(e *history.Event) error {
		if e.Kind == history.Invoked {
			report.Took = e.Time
		}
		return c.Add(e)
	})
	if err != nil {
		return nil, err
	}
	verdict, err := c.Finish()
	if err != nil {
		return nil, err
	}
	report.Verdict = *verdict
	return report, nil
}
