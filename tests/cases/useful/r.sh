# R: its packages, forked workers, a plot, a data file; it counts the processors of the sandbox.
# run: user
# needs: fuse userns Rscript
# timeout: 60
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
cat >t.R <<'R'
library(parallel)
stopifnot(identical(unlist(mclapply(1:4, function(x) x^2, mc.cores = 2)), c(1, 4, 9, 16)))
saveRDS(mtcars, "/workspace/cars.rds")
fit <- lm(mpg ~ wt, readRDS("/workspace/cars.rds"))
pdf("/workspace/plot.pdf"); plot(fit$residuals); invisible(dev.off())
cat(round(coef(fit)[["wt"]], 2), detectCores(), "\n")
R
out=$(sbx-shell --allow-degraded --quiet --cpus 1 --ro "$PWD/t.R:/opt/t.R" ws -- Rscript /opt/t.R 2>err) || fail "$(tail -n 20 err)"
expect_eq "$(echo $out)" "-5.34 1" "the slope, and the processors"
