"""Writes lines of its standard input with the handler that its first argument names, to the file that is its second:
see loggers_test.go."""
import logging
import logging.handlers
import sys

if sys.argv[1] == "timed":
    handler = logging.handlers.TimedRotatingFileHandler(sys.argv[2], when="S", interval=1, backupCount=40)
else:
    handler = logging.handlers.RotatingFileHandler(sys.argv[2], maxBytes=100_000_000, backupCount=40)
log = logging.getLogger("app")
log.addHandler(handler)
log.setLevel(logging.INFO)
for line in sys.stdin:
    if line[0] == "L":
        log.info("%s", line[1:-1])
    elif line[0] == "R":
        if sys.argv[1] != "timed":  # that looks at the clock itself
            handler.doRollover()
    else:
        print("done", flush=True)
logging.shutdown()
