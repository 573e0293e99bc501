"""Makes reference.json: the figures that the tests compare with, computed with NumPy and SciPy and nothing of ours.

    python3 -m venv v && v/bin/pip install scipy && v/bin/python reference.py > reference.json
"""
import json, math
import numpy as np
from scipy import stats

rng = np.random.default_rng(20261122)
Z = stats.norm.ppf(0.975)
cases = []
for n, mean, sd, low, high in [(30, 3.3, 0.01, 3.2, 3.4), (1000, 1e6, 3.0, 999_980.0, 1_000_020.0),
                               (57, -4.0, 0.5, None, -2.0), (12, 0.001, 0.0001, 0.0005, None), (2, 5.0, 1.0, 0.0, 10.0)]:
    values = rng.normal(mean, sd, n)
    overall = float(np.std(values, ddof=1))
    within = float(np.mean(np.abs(np.diff(values))) / (2 / math.sqrt(math.pi)))
    m = float(np.mean(values))
    def index(s):
        sides = [x for x in [None if low is None else (m - low) / (3 * s), None if high is None else (high - m) / (3 * s)] if x is not None]
        return min(sides)
    def interval(k):
        half = Z * math.sqrt(1 / (9 * n) + k * k / (2 * (n - 1)))
        return [k - half, k + half]
    spread = lambda s: None if low is None or high is None else (high - low) / (6 * s)
    cases.append(dict(values=values.tolist(), low=low, high=high, mean=m, sd=overall, sd_within=within, cp=spread(within),
                      cpk=index(within), cpk_95=interval(index(within)), pp=spread(overall), ppk=index(overall), ppk_95=interval(index(overall))))

shares = []
for good, n in [(0, 10), (10, 10), (95, 100), (1, 3), (99_000, 100_000)]:
    ci = stats.binomtest(good, n).proportion_ci(0.95, method="wilson")
    shares.append(dict(good=good, all=n, low=ci.low, high=ci.high))

def anova(x):
    """Two-way crossed ANOVA by explicit model fits (residual sums of squares of nested least-squares models)."""
    p, a, t = x.shape
    y = x.ravel()
    part, app = (np.repeat(np.arange(p), a * t), np.tile(np.repeat(np.arange(a), t), p))
    one = np.ones((y.size, 1))
    P, A = (np.eye(p)[part], np.eye(a)[app])
    PA = np.eye(p * a)[part * a + app]
    rss = lambda *m: float(np.sum((y - np.hstack(m) @ np.linalg.lstsq(np.hstack(m), y, rcond=None)[0]) ** 2))
    sse = rss(PA)
    ssi = rss(P, A) - sse
    ssp, ssa = rss(one) - rss(P), rss(one) - rss(A)
    dfi, dfe = (p - 1) * (a - 1), p * a * (t - 1)
    f = (ssi / dfi) / (sse / dfe)
    pv = float(stats.f.sf(f, dfi, dfe))
    msp, msa = ssp / (p - 1), ssa / (a - 1)
    if pv > 0.25:
        ms = (ssi + sse) / (dfi + dfe)
        rep, inter, against = ms, 0.0, ms
    else:
        rep, inter, against = sse / dfe, max(0.0, (ssi / dfi - sse / dfe) / t), ssi / dfi
    repro = max(0.0, (msa - against) / (p * t)) + inter
    pvv = max(0.0, (msp - against) / (a * t))
    grr = rep + repro
    return dict(readings=x.tolist(), sums_of_squares=[ssp, ssa, ssi, sse], interaction_p=pv, repeatability=math.sqrt(rep),
                reproducibility=math.sqrt(repro), interaction=math.sqrt(inter), grr=math.sqrt(grr), part=math.sqrt(pvv), total=math.sqrt(grr + pvv),
                grr_percent=100 * math.sqrt(grr / (grr + pvv)), ndc=int(1.41 * math.sqrt(pvv / grr)))

studies = []
for p, a, t, sp, sa, si, se in [(10, 3, 3, 1.0, 0.2, 0.0, 0.15), (5, 2, 2, 0.3, 0.1, 0.4, 0.05), (12, 4, 3, 0.02, 0.001, 0.002, 0.004)]:
    x = (5 + rng.normal(0, sp, (p, 1, 1)) + rng.normal(0, sa, (1, a, 1)) + rng.normal(0, si, (p, a, 1)) + rng.normal(0, se, (p, a, t)))
    studies.append(anova(x))

print(json.dumps(dict(capability=cases, wilson=shares, gauge=studies)))
