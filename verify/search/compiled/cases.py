"""The query's cases over one box, compiled: bounding their rows, clipping the box by them, solutions among points."""

from __future__ import annotations

from verify.search.compiled.layout import CASE_LENGTH, CASE_ROWS, CASES, META, ROWS, STRICT
from verify.search.compiled.system import ROUNDOFF, backward, compiled


@compiled
def bound_rows(F, P, system, d, unstable, mask, forms, row_bounds, sensitivities, at, tiny):
    """Bound the query rows of open cases, close cases; returns (open cases, row to split on, its slack to zero)."""
    count, cases, length = P[ROWS], P[CASES], P[CASE_LENGTH]
    for r in range(count):
        F[row_bounds + 3 * r + 2] = 0.0
    still, worst_row, worst = 0, -1, 1e308
    for c in range(cases):
        if P[mask + c] == 0:
            continue
        best, best_row, bent, closed = -1e308, -1, False, False
        for m in range(length):
            r = P[P[CASE_ROWS] + c * length + m]
            if m > 0 and r == P[P[CASE_ROWS] + c * length]:
                continue  # padding
            if F[row_bounds + 3 * r + 2] == 0.0:
                bound = backward(F, system, d, unstable + r, unstable, 1.0, at, tiny, sensitivities + r * unstable)
                F[row_bounds + 3 * r] = bound
                F[row_bounds + 3 * r + 1] = F[at[3] + 1]
                F[row_bounds + 3 * r + 2] = 1.0
                for k in range(d):
                    F[forms + r * (d + 1) + k] = F[at[0] + k]
                F[forms + r * (d + 1) + d] = F[at[3]]
            bound = F[row_bounds + 3 * r]
            if bound > 0.0 or (P[P[STRICT] + r] == 1 and bound >= 0.0):
                closed = True
                break
            meta = system + META * (unstable + r)
            bends = F[meta + 2] > F[meta + 1]  # splits tighten rows over ReLUs; affine ones are exact as they are
            if best_row < 0 or (bends and not bent) or (bends == bent and bound > best):
                best, best_row, bent = bound, r, bends
        if closed:
            P[mask + c] = 0
        else:
            still += 1
            if best < worst or worst_row < 0:
                worst, worst_row = best, best_row
    return still, worst_row, worst


@compiled
def clip(F, P, d, mask, forms, box):
    """Shrink the box to where every row of the only open case can hold; returns the share kept, -1 when none is.

    A solution has form·x + constant <= 0 for each row, so coefficient_k x_k <= -constant - Σ_{i≠k} min(...).
    """
    case = -1
    for c in range(P[CASES]):
        if P[mask + c] == 1:
            case = c
    kept = 1.0
    for m in range(P[CASE_LENGTH]):
        r = P[P[CASE_ROWS] + case * P[CASE_LENGTH] + m]
        base = forms + r * (d + 1)
        total, weight = F[base + d], abs(F[base + d])
        for k in range(d):
            a = F[base + k]
            part = a * (F[box + k] if a > 0.0 else F[box + d + k])
            total += part
            weight += abs(part)
        room = weight * (4 * d + 8) * ROUNDOFF * 2.0 + 2.0**-1000
        for k in range(d):
            a = F[base + k]
            low, high = F[box + k], F[box + d + k]
            if a == 0.0 or low == high:
                continue
            rest = total - a * (low if a > 0.0 else high) - room
            limit = -rest / a
            slip = abs(limit) * 4.0 * ROUNDOFF + 2.0**-1000
            if a > 0.0 and limit + slip < high:
                if limit + slip < low:
                    return -1.0
                kept *= (limit + slip - low) / (high - low)
                F[box + d + k] = limit + slip
            elif a < 0.0 and limit - slip > low:
                if limit - slip > high:
                    return -1.0
                kept *= (high - limit + slip) / (high - low)
                F[box + k] = limit - slip
    return kept


@compiled
def satisfies(F, P, mask, z, unstable):
    """Whether the rows at z make some open case hold in plain float64."""
    for c in range(P[CASES]):
        if P[mask + c] == 1:
            good = True
            for m in range(P[CASE_LENGTH]):
                if not F[z + unstable + P[P[CASE_ROWS] + c * P[CASE_LENGTH] + m]] <= 0.0:
                    good = False
                    break
            if good:
                return True
    return False
