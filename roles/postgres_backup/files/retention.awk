# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# What retention says of each backup on a volume, newest first, one JSON object a line.
#
# Input, sorted by `LC_ALL=C sort -r`, so that all lines of a backup stand together and the newest backup is first:
#   <backup> TAB B TAB <bytes>            a regular file with a backup's name
#   <backup> TAB S TAB <line>             the first line of its sidecar <backup>.sha256
#   <backup> TAB D TAB <line>             <backup>.damaged exists; one more such line may hold its first line
#   <backup> TAB K                        <backup>.keep exists
# Variables: prefix (of the names), now (seconds since 1970), keep_last, keep_daily, keep_weekly, keep_monthly,
# keep_yearly (whole numbers), keep_within (as the user wrote it) and within_seconds, plan (a file that gets what is to
# be deleted, the oldest first: name, space, bytes), orphans (one that gets the names of backups that are gone but left a
# sidecar).
#
# Must run unchanged under mawk, gawk and busybox awk: no {n} intervals, "%.0f" for every large number.

BEGIN { FS = "\t"; count = 0; current = "" }

$1 != current { finish(); start($1) }
$2 == "B" { is_file = 1; bytes = $3 }
$2 == "S" { sidecar = rest() }
$2 == "D" { is_damaged = 1; if (rest() != "") damage = rest() }
$2 == "K" { is_pinned = 1 }

END {
    finish()
    choose()
    for (i = 1; i <= count; i++) print_backup(i)
    for (i = count; i > 0 && plan != ""; i--) if (verdict[i] == "delete") printf "%s %.0f\n", name[i], size[i] > plan
}

function rest() { return substr($0, length($1) + length($2) + 3) }

function start(backup) {
    current = backup
    is_file = 0; is_damaged = 0; is_pinned = 0
    bytes = 0; sidecar = ""; damage = ""
}

function finish(    epoch, hash) {
    if (current == "") return
    epoch = created_epoch(current)
    if (epoch == "") return
    if (!is_file) {
        if (orphans != "" && (sidecar != "" || is_damaged)) print current > orphans
        return
    }
    count++
    name[count] = current
    created[count] = epoch
    size[count] = bytes
    pinned[count] = is_pinned
    future[count] = (epoch > now + 300)
    hash = substr(sidecar, 1, 64)
    state[count] = "unchecked"
    sha256[count] = ""
    if (length(hash) == 64 && hash ~ /^[0-9a-f]+$/ && substr(sidecar, 65) == "  " current) {
        state[count] = "complete"
        sha256[count] = hash
    } else if (is_damaged) {
        state[count] = "damaged"
        reason_damaged[count] = damage
    }
}

# The rules of keeping. Backups are numbered from the newest (1) to the oldest (count), so that all of a period stand
# together. What no rule asks for any more is not worked out: volumes of ten thousand backups are listed in a second.
function choose(    i, newest, taken, day, week, month, year, stamp, kept_slots, oldest_kept) {
    newest = 0
    oldest_kept = ""
    for (i = 1; i <= count; i++) {
        why[i] = ""
        if (pinned[i]) add(i, "kept by hand")
        if (future[i]) { add(i, "dated in the future"); continue }
        if (state[i] != "complete") continue
        if (!newest) newest = i
        if (pinned[i]) { oldest_kept = created[i]; continue }
        taken++
        stamp = substr(name[i], length(prefix) + 2)
        if (taken <= keep_last) add(i, "last")
        day = substr(stamp, 1, 10)
        if (days < keep_daily && day != last_day) { last_day = day; days++; add(i, "daily " day) }
        if (weeks < keep_weekly) {
            week = iso_week(number(substr(stamp, 1, 4)), number(substr(stamp, 6, 2)), number(substr(stamp, 9, 2)))
            if (week != last_week) { last_week = week; weeks++; add(i, "weekly " week) }
        }
        month = substr(stamp, 1, 7)
        if (months < keep_monthly && month != last_month) { last_month = month; months++; add(i, "monthly " month) }
        year = substr(stamp, 1, 4)
        if (years < keep_yearly && year != last_year) { last_year = year; years++; add(i, "yearly " year) }
        if (within_seconds > 0 && created[i] >= created[newest] - within_seconds) add(i, "within " keep_within)
        if (why[i] == "" && i == newest) add(i, "newest complete")
        if (why[i] != "") { kept_slots++; oldest_kept = created[i] }
    }
    for (i = 1; i <= count; i++) {
        verdict[i] = "keep"
        if (why[i] != "") continue
        if (state[i] == "complete") {
            verdict[i] = "delete"; add(i, "no rule keeps it")
        } else if (newest && kept_slots >= keep_last && created[i] < oldest_kept) {
            verdict[i] = "delete"; add(i, state[i] " and older than every kept backup")
        } else {
            add(i, state[i] == "damaged" ? "damaged: " reason_damaged[i] : "unchecked")
        }
    }
}

function add(i, reason) { why[i] = why[i] (why[i] == "" ? "" : ",") json(reason) }

function print_backup(i,    stamp, iso) {
    stamp = substr(name[i], length(prefix) + 2)
    iso = substr(stamp, 1, 10) "T" substr(stamp, 12, 2) ":" substr(stamp, 14, 2) ":" substr(stamp, 16, 2) "Z"
    printf "{\"type\":\"backup\",\"name\":%s,\"created\":\"%s\",\"size_bytes\":%.0f,\"sha256\":%s,", \
        json(name[i]), iso, size[i], sha256[i] == "" ? "null" : "\"" sha256[i] "\""
    printf "\"state\":\"%s\",\"future\":%s,\"verdict\":\"%s\",\"reasons\":[%s]}\n", state[i], future[i] ? "true" : "false", verdict[i], why[i]
}

# Seconds since 1970 of the time in a backup's name, or "" where the name holds no time that exists.
function created_epoch(backup,    stamp, y, m, d, h, mi, s) {
    if (substr(backup, 1, length(prefix) + 1) != prefix "-") return ""
    stamp = substr(backup, length(prefix) + 2)
    if (stamp !~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]\.sql\.gz$/) return ""
    y = number(substr(stamp, 1, 4)); m = number(substr(stamp, 6, 2)); d = number(substr(stamp, 9, 2))
    h = number(substr(stamp, 12, 2)); mi = number(substr(stamp, 14, 2)); s = number(substr(stamp, 16, 2))
    if (y < 1 || m < 1 || m > 12 || d < 1 || d > days_in_month(y, m) || h > 23 || mi > 59 || s > 59) return ""
    return civil_days(y, m, d) * 86400 + h * 3600 + mi * 60 + s
}

# busybox awk takes a leading zero for octal.
function number(digits) { sub(/^0+/, "", digits); return digits + 0 }

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

# ISO 8601 week: the week belongs to the year that holds its Thursday.
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

# The caller has replaced control characters and whatever is not ASCII, but for tabs.
function json(text,    i, c, out) {
    if (text !~ /["\\\t]/) return "\"" text "\""
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "\t") out = out "\\t"
        else out = out ((c == "\"" || c == "\\") ? "\\" : "") c
    }
    return "\"" out "\""
}
