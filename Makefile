# One line per target; the work is in scripts/ (Python, standard library only).
PYTHON ?= python3
PG_CONFIG ?= pg_config

help:       ## this list
	@grep -E '^[a-z-]+: ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14
setup:      ## PostgreSQL 18 and 15 under .pg, ONNX Runtime under .cache, what the build needs
	@$(PYTHON) scripts/setup.py
build:      ## the extension for 18 and 15, and the ONNX process
	@$(PYTHON) scripts/build.py build
install:    ## build, and install into the server of PG_CONFIG=/path/to/pg_config
	@$(PYTHON) scripts/build.py build install --pg-config $(PG_CONFIG)
demo:       ## a grocer's year, from purchases to profiles, on a server of its own
	@$(PYTHON) scripts/demo.py
test:       ## everything, on 18 and 15; narrow with ARGS='--only 18 --filter sql/scale'
	@$(PYTHON) tests/run.py $(ARGS)
test-all:   ## everything, on PostgreSQL 18, 17, 16 and 15
	@$(PYTHON) tests/run.py --all $(ARGS)
test-clients: ## ordinary calls from psycopg, pandas, polars, JDBC, node, ODBC, DuckDB, dbt and through pgbouncer
	@$(PYTHON) tests/clients/run.py $(ARGS)
test-long:  ## with the long tests; on every server with ARGS=--all
	@$(PYTHON) tests/run.py --long $(ARGS)
bench:      ## side by side with peers; writes benches/RESULTS.md
	@$(PYTHON) benches/run.py $(ARGS)
quality:    ## models' quality against published figures
	@$(PYTHON) benches/quality.py $(ARGS)
lint:       ## rustfmt and clippy, with warnings denied, for every feature; PostgreSQL 16 too
	@$(PYTHON) scripts/build.py lint
package:    ## a tarball per server in dist/, for PostgreSQL 18, 17, 16 and 15
	@$(PYTHON) scripts/build.py build package
clean:      ## what was built; downloads and servers stay
	@rm -rf target dist
.PHONY: help setup build install demo test test-all test-clients test-long bench quality lint package clean
