package store

import (
	"errors"
	"time"
)

type DynamicOptions struct {
	Service      []string
	Bucket       int
	Category     string
	TTL, Timeout time.Duration
	Network      NetworkOptions
}

func NewDynamic(o DynamicOptions) (Store, error) { return nil, errors.New("not yet") }
