# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Prints the verdict of retention on each backup on a volume, newest first, one JSON object a line.
#
# Input, sorted by `LC_ALL=C sort -r`, so that the lines of a backup are consecutive and the newest backup is first:
#   <backup> TAB B TAB <bytes>            a regular file with a backup's name
#   <backup> TAB S TAB <line>             the first line of its checksum file <backup>.sha256
#   <backup> TAB D TAB <line>             <backup>.damaged exists; one more such line may hold its first line
#   <backup> TAB K                        <backup>.keep exists
# Variables: prefix (of the names), now (seconds since 1970), clock_tolerance (seconds), keep_last, keep_daily, keep_weekly,
# keep_monthly, keep_yearly (whole numbers), keep_within (as the user wrote it) and within_seconds, plan (the file for the
# backups to delete, the oldest first: name, space, bytes), orphans (the file for the names of deleted backups that still
# have a checksum file).
#
# Must run unchanged under mawk, gawk and busybox awk: no {n} intervals, "%.0f" for every large number.

BEGIN {
    FS = "\t"; count = 0; current = ""
    stamp_at = length(prefix) + 2
    quoted_prefix = json(prefix "-")
    quoted_prefix = substr(quoted_prefix, 1, length(quoted_prefix) - 1)
}

$1 != current { finish(); start($1) }
$2 == "B" { is_file = 1; bytes = $3 }
$2 == "S" { checksum_line = rest() }
$2 == "D" { is_damaged = 1; if (rest() != "") damage = rest() }
$2 == "K" { is_pinned = 1 }

END {
    finish()
    choose()
    for (i = 1; i <= count; i++) print_backup(i)
    for (i = count; i > 0 && plan != ""; i--) if (i in verdict) printf "%s %.0f\n", name[i], size[i] > plan
}

function rest() { return substr($0, length($1) + length($2) + 3) }

function start(backup) {
    current = backup
    is_file = 0; is_damaged = 0; is_pinned = 0
    bytes = 0; checksum_line = ""; damage = ""
}

function finish(    epoch, hash) {
    if (current == "") return
    epoch = created_epoch(current)
    if (epoch == "") return
    if (!is_file) {
        if (orphans != "" && (checksum_line != "" || is_damaged)) print current > orphans
        return
    }
    count++
    name[count] = current
    created[count] = epoch
    size[count] = bytes
    if (is_pinned) pinned[count] = 1
    if (epoch > now + clock_tolerance) future[count] = 1
    hash = substr(checksum_line, 1, 64)
    state[count] = "unchecked"
    if (length(hash) == 64 && hash ~ /^[0-9a-f]+$/ && substr(checksum_line, 65) == "  " current) {
        state[count] = "complete"
        sha256[count] = hash
    } else if (is_damaged) {
        state[count] = "damaged"
        reason_damaged[count] = damage
    }
}

# Applies the rules. Backups are numbered from the newest (1) to the oldest (count), so that those of a period are
# consecutive. Periods are computed only as long as a rule needs them: a volume of ten thousand backups is listed in a second.
function choose(    i, newest, taken, day, week, month, year, stamp, kept_slots, oldest_kept) {
    newest = 0
    oldest_kept = ""
    for (i = 1; i <= count; i++) {
        if (i in pinned) add(i, "kept by hand")
        if (i in future) { add(i, "dated in the future"); continue }
        if (state[i] != "complete") continue
        if (!newest) newest = i
        if (i in pinned) { oldest_kept = created[i]; continue }
        taken++
        if (taken <= keep_last) add(i, "last")
        if (days < keep_daily) {
            day = substr(name[i], stamp_at, 10)
            if (day != last_day) { last_day = day; days++; add(i, "daily " day) }
        }
        if (weeks < keep_weekly) {
            stamp = substr(name[i], stamp_at)
            week = iso_week(number(substr(stamp, 1, 4)), number(substr(stamp, 6, 2)), number(substr(stamp, 9, 2)))
            if (week != last_week) { last_week = week; weeks++; add(i, "weekly " week) }
        }
        if (months < keep_monthly) {
            month = substr(name[i], stamp_at, 7)
            if (month != last_month) { last_month = month; months++; add(i, "monthly " month) }
        }
        if (years < keep_yearly) {
            year = substr(name[i], stamp_at, 4)
            if (year != last_year) { last_year = year; years++; add(i, "yearly " year) }
        }
        if (within_seconds > 0 && created[i] >= created[newest] - within_seconds) add(i, "within " keep_within)
        if (i == newest && !(i in why)) add(i, "newest complete")
        if (i in why) { kept_slots++; oldest_kept = created[i] }
    }
    for (i = 1; i <= count; i++) {
        if (i in why) continue
        if (state[i] == "complete") {
            verdict[i] = "delete"; why[i] = "\"no rule keeps it\""
        } else if (newest && kept_slots >= keep_last && created[i] < oldest_kept) {
            verdict[i] = "delete"; add(i, state[i] " and older than every kept backup")
        } else {
            add(i, state[i] == "damaged" ? "damaged: " reason_damaged[i] : "unchecked")
        }
    }
}

function add(i, reason) { if (i in why) why[i] = why[i] "," json(reason); else why[i] = json(reason) }

# The time in a name contains nothing that must be escaped in JSON.
function print_backup(i,    stamp) {
    stamp = substr(name[i], stamp_at)
    printf "{\"type\":\"backup\",\"name\":%s%s\",\"created\":\"%sT%s:%s:%sZ\",\"size_bytes\":%.0f," \
        "\"sha256\":%s,\"state\":\"%s\",\"future\":%s,\"verdict\":\"%s\",\"reasons\":[%s]}\n", \
        quoted_prefix, stamp, substr(stamp, 1, 10), substr(stamp, 12, 2), substr(stamp, 14, 2), substr(stamp, 16, 2), size[i], \
        i in sha256 ? "\"" sha256[i] "\"" : "null", state[i], i in future ? "true" : "false", i in verdict ? verdict[i] : "keep", why[i]
}

# Seconds since 1970 of the time in a backup's name, or "" if it is not a valid time.
function created_epoch(backup,    stamp, month, y, m, d, h, mi, s) {
    if (substr(backup, 1, stamp_at - 1) != prefix "-") return ""
    stamp = substr(backup, stamp_at)
    if (stamp !~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]\.sql\.gz$/) return ""
    month = substr(stamp, 1, 7)
    if (!(month in month_days)) {
        y = number(substr(stamp, 1, 4)); m = number(substr(stamp, 6, 2))
        month_days[month] = (y < 1 || m < 1 || m > 12) ? 0 : days_in_month(y, m)
        if (month_days[month]) month_start[month] = civil_days(y, m, 1)
    }
    d = number(substr(stamp, 9, 2)); h = number(substr(stamp, 12, 2)); mi = number(substr(stamp, 14, 2)); s = number(substr(stamp, 16, 2))
    if (d < 1 || d > month_days[month] || h > 23 || mi > 59 || s > 59) return ""
    return (month_start[month] + d - 1) * 86400 + h * 3600 + mi * 60 + s
}

# busybox awk reads a number with a leading zero as octal. Two or four digits.
function number(digits) { return ("1" digits) - (length(digits) == 2 ? 100 : 10000) }

function is_leap(y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0 }

function days_in_month(y, m) {
    if (m == 2) return is_leap(y) ? 29 : 28
    return (m == 4 || m == 6 || m == 9 || m == 11) ? 30 : 31
}

# Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
# days_from_civil, for years from 1 on).
function civil_days(y, m, d,    era, yoe, doy) {
    if (m <= 2) y--
    era = int(y / 400)
    yoe = y - era * 400
    doy = int((153 * (m + (m > 2 ? -3 : 9)) + 2) / 5) + d - 1
    return era * 146097 + yoe * 365 + int(yoe / 4) - int(yoe / 100) + doy - 719468
}

# ISO 8601 week: the week belongs to the year that contains its Thursday.
function iso_week(y, m, d,    days, weekday, thursday, year) {
    days = civil_days(y, m, d)
    weekday = (days + 3) % 7
    if (weekday < 0) weekday += 7
    thursday = days - weekday + 3
    year = y
    if (thursday < civil_days(y, 1, 1)) year--
    else if (thursday >= civil_days(y + 1, 1, 1)) year++
    return sprintf("%04d-W%02d", year, int((thursday - civil_days(year, 1, 1)) / 7) + 1)
}

# The caller has replaced control characters except tabs, and everything that is not ASCII.
function json(text,    i, c, out) {
    if (text !~ /["\\\t]/) return "\"" text "\""
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "\t") out = out "\\t"
        else out = out ((c == "\"" || c == "\\") ? "\\" : "") c
    }
    return "\"" out "\""
}
