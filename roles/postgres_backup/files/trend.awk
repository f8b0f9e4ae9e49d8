# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Prints what follows from the history of an installation, one JSON object:
#   growth                how fast the used part of the volume grows; null where fewer than 7 days have a value
#   worst_gap             the longest time between the starts of two runs that made a complete backup, among those that ended
#                         in the last 30 days or last until now; null without such a run
#   consecutive_failures  the Jobs that failed since the last run that succeeded
#
# Input: entries of the history (history_lines in history.sh). Variables: now (seconds since 1970), free_bytes.
#
# It needs calendar.awk and json.awk. Must run unchanged under mawk, gawk and busybox awk.

BEGIN {
    DAY = 86400
    GAP_WINDOW = 30 * DAY
    # The trend is that of the last days on which a run ended, one value for each day.
    TREND_WINDOW = 90 * DAY
    TREND_DAYS = 30
    LEAST_DAYS = 7
    # A change that is this many times the usual one, and lasts, is not growth: somebody cleaned the volume or changed its size.
    STEP = 10
    # It lasts if the middle value of so many days after it differs as much from that of so many days before it.
    STEP_DAYS = 9
    # Times are compared as texts first: a history of ten thousand entries takes a tenth of a second.
    since = day_text(int((now - TREND_WINDOW) / DAY))
}

!/^[{]"operation":"run",/ { next }
{
    state = text_of($0, "state"); started_text = text_of($0, "started")
    if (state == "" || started_text == "") next
    if (started_text < since) {
        count_failure()
        if (state == "succeeded" && started_text > older_start) older_start = started_text
        next
    }
    finished = epoch_of(text_of($0, "finished"))
    if (finished == "") next
    started = epoch_of(started_text)
    if (started == "") next
    count_failure()
    # A run in the future is one of a wrong clock.
    if (state == "succeeded" && started <= now) note_start()
    if (now >= finished && now - finished <= TREND_WINDOW) note_free_space(whole_number_of($0, "free_bytes"))
}

END {
    printf "{\"type\":\"trend\",\"growth\":"
    print_growth()
    printf ",\"worst_gap\":"
    print_worst_gap()
    printf ",\"consecutive_failures\":%.0f}\n", failures
}

# The attempts of a Job count once.
function count_failure(    job) {
    if (state == "succeeded") { failures = 0; failed_job = ""; return }
    job = text_of($0, "job")
    if (job == "" || job != failed_job) failures++
    failed_job = job
}

# The starts in the window, and the last one before it.
function note_start() {
    text_at[started] = started_text
    if (started > now - GAP_WINDOW) starts[++number_of_starts] = started
    else if (started > start_before) start_before = started
}

# The free space at the end of the last run of each day.
function note_free_space(bytes,    day) {
    if (bytes == "") return
    day = int(finished / DAY)
    if (day in last_end && last_end[day] > finished) return
    if (!(day in last_end)) days[++number_of_days] = day
    last_end[day] = finished
    free_at[day] = bytes + 0
    size_at[day] = whole_number_of($0, "bytes") + 0
}

# The slope is the median of those between all pairs of days (Theil-Sen), so that single days do not change it. The volume may
# be shared: what others write to it counts.
function print_growth(    first, n, i, k, slope, slopes, pairs) {
    sort_numbers(days, number_of_days)
    first = number_of_days > TREND_DAYS ? number_of_days - TREND_DAYS : 0
    n = number_of_days - first
    if (n < LEAST_DAYS) { printf "null"; return }
    for (i = 1; i <= n; i++) day_of[i] = days[first + i]
    level_steps(n)
    for (i = 1; i < n; i++)
        for (k = i + 1; k <= n; k++) slopes[++pairs] = (level[k] - level[i]) / (day_of[k] - day_of[i])
    slope = median(slopes, pairs)
    printf "{\"bytes_per_day\":%.0f,\"days_until_full\":", slope ? -slope : 0
    if (slope < 0) printf "%.3f}", free_bytes / -slope
    else printf "null}"
}

# Sets `level`, the free space of each day with each step replaced by the usual change. A step is a change of more than ten
# times the usual one, and than ten backups, which lasts: a single day with another value is left to the median.
function level_steps(n,    i, usual, limit, rate, rates, sizes) {
    for (i = 1; i < n; i++) rates[i] = (free_at[day_of[i + 1]] - free_at[day_of[i]]) / (day_of[i + 1] - day_of[i])
    for (i = 1; i <= n; i++) sizes[i] = size_at[day_of[i]]
    limit = median(sizes, n)
    if (limit < 1) limit = 1
    for (i = 1; i < n; i++) { rate[i] = rates[i]; sizes[i] = rates[i] < 0 ? -rates[i] : rates[i] }
    usual = median(sizes, n - 1)
    if (usual > limit) limit = usual
    limit *= STEP
    usual = median(rates, n - 1)
    level[1] = free_at[day_of[1]]
    for (i = 1; i < n; i++) {
        if ((rate[i] - usual > limit || usual - rate[i] > limit) && is_lasting(i, n, usual, limit)) rate[i] = usual
        level[i + 1] = level[i] + rate[i] * (day_of[i + 1] - day_of[i])
    }
}

# Whether the free space differs by more than `limit` after day i, apart from the usual change.
function is_lasting(i, n, usual, limit,    shift) {
    shift = middle_of(i + 1, i + STEP_DAYS < n ? i + STEP_DAYS : n, i, usual) - middle_of(i < STEP_DAYS ? 1 : i - STEP_DAYS + 1, i, i, usual)
    return shift > limit || shift < -limit
}

# The median of the free space of days `from` to `to`, as it would be on day i.
function middle_of(from, to, i, usual,    k, values, count) {
    for (k = from; k <= to; k++) values[++count] = free_at[day_of[k]] - usual * (day_of[k] - day_of[i])
    return median(values, count)
}

function print_worst_gap(    i, end, length_of_gap, worst, at) {
    if (!start_before && (start_before = epoch_of(older_start)) != "") text_at[start_before] = older_start
    if (start_before) starts[++number_of_starts] = start_before
    sort_numbers(starts, number_of_starts)
    worst = -1
    for (i = 1; i <= number_of_starts; i++) {
        end = i < number_of_starts ? starts[i + 1] : now
        length_of_gap = end - starts[i]
        if (length_of_gap > worst) { worst = length_of_gap; at = i }
    }
    if (worst < 0) { printf "null"; return }
    printf "{\"start\":\"%s\",\"end\":%s,\"seconds\":%.0f}", text_at[starts[at]], \
        (at < number_of_starts ? "\"" text_at[starts[at + 1]] "\"" : "null"), worst
}

# The middle value, or the mean of the middle two; sorts the array.
function median(values, n,    middle) {
    sort_numbers(values, n)
    middle = int((n + 1) / 2)
    return n % 2 ? values[middle] : (values[middle] + values[middle + 1]) / 2
}

# Heapsort of values[1] to values[n]: also for a history that somebody has shuffled.
function sort_numbers(values, n,    i, last) {
    for (i = int(n / 2); i >= 1; i--) sink(values, i, n)
    for (i = n; i > 1; i--) {
        last = values[i]; values[i] = values[1]; values[1] = last
        sink(values, 1, i - 1)
    }
}

function sink(values, i, n,    child, value) {
    value = values[i]
    while ((child = 2 * i) <= n) {
        if (child < n && values[child + 1] > values[child]) child++
        if (values[child] <= value) break
        values[i] = values[child]
        i = child
    }
    values[i] = value
}
