# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Prints the verdict of retention on each backup on a volume, newest first, one JSON object a line.
#
# Input, sorted by `LC_ALL=C sort -r`, so that the lines of a backup are consecutive and the newest backup is first:
#   <backup> TAB B TAB <bytes>            a regular file with a backup's name
#   <backup> TAB S TAB <line>             the first line of its checksum file <backup>.sha256
#   <backup> TAB M TAB <line>             the first line of its manifest <backup>.json
#   <backup> TAB D TAB <line>             <backup>.damaged exists; one more such line may hold its first line
#   <backup> TAB K                        <backup>.keep exists
# Variables: prefix (of the names), now (seconds since 1970), clock_tolerance (seconds), keep_last, keep_daily, keep_weekly,
# keep_monthly, keep_yearly (whole numbers), keep_within (as the user wrote it) and within_seconds, plan (the file for the
# backups to delete, the oldest first: name, space, bytes), orphans (the file for the names of deleted backups that still
# have a checksum file or a manifest), max_deletions (a number, or nothing for the default) and brake (the file for the
# number of deletions that the brake holds back).
#
# It needs calendar.awk and json.awk. Must run unchanged under mawk, gawk and busybox awk: no {n} intervals, "%.0f" for every large number.

BEGIN {
    FS = "\t"; count = 0; current = ""
    stamp_at = length(prefix) + 2
    quoted_prefix = json(prefix "-")
    quoted_prefix = substr(quoted_prefix, 1, length(quoted_prefix) - 1)
    no_manifest = "\"manifest\":false,\"dumped\":null,\"missing\":null,\"left_out\":null"
    # What the brake lets pass (see held_back).
    DUE_LIMIT = 3
    NEW_LIMIT = 3
}

$1 != current { finish(); start($1) }
{
    if ($2 == "B") { is_file = 1; bytes = $3 }
    else if ($2 == "S") checksum_line = rest()
    else if ($2 == "M") { has_manifest = 1; manifest_line = NF == 3 ? $3 : "" }
    else if ($2 == "D") { is_damaged = 1; if (rest() != "") damage = rest() }
    else if ($2 == "K") is_pinned = 1
}

END {
    finish()
    choose(0)
    judge()
    for (i = 1; i <= count; i++) print_backup(i)
    for (i = count; i > 0 && plan != ""; i--) if (i in verdict) printf "%s %.0f\n", name[i], size[i] > plan
    if (brake != "") printf "%.0f\n", held_back() > brake
}

function rest() { return substr($0, length($1) + length($2) + 3) }

function start(backup) {
    current = backup
    is_file = 0; is_damaged = 0; is_pinned = 0; has_manifest = 0
    bytes = 0; checksum_line = ""; manifest_line = ""; damage = ""
}

function finish(    epoch, hash) {
    if (current == "") return
    epoch = created_epoch(current)
    if (epoch == "") return
    if (!is_file) {
        if (orphans != "" && (checksum_line != "" || has_manifest || is_damaged)) print current > orphans
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
        if (manifest_line != "") read_manifest(manifest_line)
    } else if (is_damaged) {
        state[count] = "damaged"
        reason_damaged[count] = damage
    }
}

# Reads the first line of a manifest. One that does not name this backup, or cannot be read, is ignored: a manifest never
# makes a backup worse than one without a manifest. Later formats begin with the same members. If the lists are damaged, the
# state still counts. Quotation marks in a name are escaped, so what separates the members cannot be part of a name.
function read_manifest(line,    at, beginning) {
    at = index(line, ",")
    if (substr(line, 1, at) !~ /^[{]"format":[1-9][0-9]*,$/) return
    line = substr(line, at + 1)
    beginning = "\"backup\":\"" current "\",\"state\":\""
    if (substr(line, 1, length(beginning)) != beginning) return
    line = substr(line, length(beginning) + 1)
    if (line ~ /^incomplete",/) state[count] = "incomplete"
    else if (line !~ /^complete",/) return
    line = substr(line, index(line, ",") + 1)
    # Most backups of a server contain the same databases.
    if (line != last_line) read_lists(line)
    if (!lists_are_valid) return
    dumped[count] = last_dumped
    missing[count] = last_missing
    left_out[count] = last_left_out
}

function read_lists(line,    at) {
    last_line = line
    lists_are_valid = 0
    at = index(line, "],\"missing\":[")
    if (!at || line !~ /^"dumped":\[/) return
    last_dumped = substr(line, 11, at - 11)
    line = substr(line, at + 13)
    at = index(line, "],\"left_out\":")
    if (!at) return
    last_missing = substr(line, 1, at - 1)
    line = substr(line, at + 13)
    last_left_out = line ~ /^true/ ? "true" : "false"
    lists_are_valid = line ~ /^(true|false)[,}]/ && is_list(last_dumped) && is_list(last_missing)
}

# Whether a text is the inside of a JSON array of strings.
function is_list(text) {
    return text ~ /^("([^"\\]|\\["\\\/bfnrt]|\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F])*"(,"([^"\\]|\\["\\\/bfnrt]|\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F])*")*)?$/
}

# Applies the rules, as if the newest complete backups, `without` of them, did not exist: writes the reasons to keep a backup
# to `why`.
# Backups are numbered from the newest (1) to the oldest (count), so that those of a period are consecutive. Periods are
# computed only as long as a rule needs them: a volume of ten thousand backups is listed in a second.
function choose(without,    i, taken, day, week, month, year, stamp, days, weeks, months, years, last_day, last_week, last_month, last_year) {
    split("", why); split("", ignored)
    newest = 0; oldest_kept = 0; kept_slots = 0
    for (i = 1; i <= count; i++) {
        if (without > 0 && state[i] == "complete" && !(i in future)) { ignored[i] = 1; without--; continue }
        if (i in pinned) add(i, "kept by hand")
        if (i in future) { add(i, "dated in the future"); continue }
        if (state[i] == "incomplete" && !newest && !(i in pinned)) add(i, "incomplete, and no newer complete backup")
        if (state[i] != "complete") continue
        if (!newest) newest = i
        if (i in pinned) continue
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
        if (i in why) kept_slots++
    }
    keep_holders()
}

# Whether a backup that no rule keeps may be deleted.
function is_due(i) {
    if (state[i] == "complete" || state[i] == "incomplete") return 1
    return newest && kept_slots >= keep_last && i > oldest_kept
}

# The verdicts on the backups that no rule keeps.
function judge(    i) {
    for (i = 1; i <= count; i++) {
        if (i in why) continue
        if (is_due(i)) {
            verdict[i] = "delete"
            if (state[i] == "complete") why[i] = "\"no rule keeps it\""
            else if (state[i] == "incomplete") why[i] = "\"incomplete, and a newer backup is complete\""
            else why[i] = json(state[i] " and older than every kept backup")
        } else why[i] = json(state[i] == "damaged" ? "damaged: " reason_damaged[i] : "unchecked")
    }
}

# Keeps, for each database that the newest backup should contain and does not, the newest backup that contains it. A complete
# backup without a manifest may contain it, and is kept until an older one is known to.
function keep_holders(    i, k, names, number_of_names, left, list, contained, may_hold) {
    for (i = 1; i <= count; i++) {
        if (i in ignored || i in future || !(i in sha256)) continue
        if (state[i] == "complete") return
        if (i in missing) break
    }
    if (i > count) return
    left = number_of_names = read_strings(missing[i], names)
    list = ""
    for (i = 1; i <= count && left > 0; i++) {
        if (i in ignored || i in future || !(i in sha256)) continue
        if (i in dumped) {
            # Most backups contain the same databases as the one before.
            if (dumped[i] == list) continue
            list = dumped[i]
            set_of_names(list, contained)
            for (k = 1; k <= number_of_names; k++) if (k in names && names[k] in contained) {
                add_json(i, "\"the newest that holds " names[k] "\"")
                delete names[k]
                left--
            }
        } else if (state[i] == "complete" && !may_hold++) {
            for (k = 1; k <= number_of_names; k++) if (k in names) add_json(i, "\"the newest that may hold " names[k] "\"")
        }
    }
}

function set_of_names(list, contained,    names, k) {
    split("", contained)
    for (k = read_strings(list, names); k > 0; k--) contained[names[k]] = 1
}

# How many deletions the brake holds back: none, or all. Incomplete backups do not count.
# By default, what counts is whether new backups explain the deletions: in normal ageing, the last prune left nothing that is
# due. Some backups may have been due already before the newest complete one was made; or any number, if none was due before
# the three newest ones: some prunes may have been killed. What a changed policy deletes was due long before.
function held_back(    i, planned, counted) {
    for (i = 1; i <= count; i++) if (i in verdict) { planned++; if (state[i] != "incomplete") counted++ }
    if (max_deletions != "") return counted > max_deletions + 0 ? planned : 0
    return counted > DUE_LIMIT && due_before(1, DUE_LIMIT) > DUE_LIMIT && due_before(NEW_LIMIT, 0) > 0 ? planned : 0
}

# How many backups were due before the newest complete ones, `without` of them; counts up to `limit` and one more.
function due_before(without, limit,    i, due) {
    choose(without)
    for (i = count; i > 0 && due <= limit; i--)
        if (!(i in why) && !(i in ignored) && state[i] != "incomplete" && is_due(i)) due++
    return due + 0
}

function add(i, reason) { add_json(i, json(reason)) }

# Adds a reason to keep a backup.
function add_json(i, reason) {
    if (i in why) why[i] = why[i] "," reason; else why[i] = reason
    if (i > oldest_kept && i in sha256 && !(i in future)) oldest_kept = i
}

# The time in a name contains nothing that must be escaped in JSON.
function print_backup(i,    stamp) {
    stamp = substr(name[i], stamp_at)
    printf "{\"type\":\"backup\",\"name\":%s%s\",\"created\":\"%s\",\"size_bytes\":%.0f," \
        "\"sha256\":%s,\"state\":\"%s\",\"future\":%s,\"verdict\":\"%s\",\"reasons\":[%s],%s,\"encrypted\":%s}\n", \
        quoted_prefix, stamp, time_of_stamp(stamp), size[i], \
        i in sha256 ? "\"" sha256[i] "\"" : "null", state[i], i in future ? "true" : "false", i in verdict ? verdict[i] : "keep", why[i], \
        i in dumped ? "\"manifest\":true,\"dumped\":[" dumped[i] "],\"missing\":[" missing[i] "],\"left_out\":" left_out[i] : no_manifest, \
        stamp ~ /age$/ ? "true" : "false"
}

# Seconds since 1970 of the time in a backup's name, or "" if it is not a valid time.
function created_epoch(backup,    stamp) {
    if (substr(backup, 1, stamp_at - 1) != prefix "-") return ""
    stamp = substr(backup, stamp_at)
    if (stamp !~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]\.sql\.gz(\.age)?$/) return ""
    return epoch_of(time_of_stamp(stamp))
}

# The time 2026-11-22T02:00:00Z of 2026-11-22-020000.
function time_of_stamp(stamp) {
    return substr(stamp, 1, 10) "T" substr(stamp, 12, 2) ":" substr(stamp, 14, 2) ":" substr(stamp, 16, 2) "Z"
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
