#include "record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The columns that every batch begins with. */
enum { RECORD_NUMBER, TIMESTAMP_MS, FIRST_OWN };

/* The fields of every record, whose bits in `seen` follow those of the plan. */
enum { OF_TIMESTAMP, OF_TICKER, OF_ROWS };

static ColumnType column_type(Kind kind) { return kind == NUMBER ? DOUBLE : kind == INTEGER ? INT32 : TEXT; }

bool record_init(Record *record, const Plan *plan) {
    const Field *own = plan->wants_rows ? plan->parts : plan->fields;
    int count = (int)(plan->wants_rows ? plan->part_count : plan->field_count);
    if (plan->field_count > MAX_FIELDS) return false;
    Column *columns = calloc((size_t)count + FIRST_OWN + 1, sizeof *columns);
    if (columns == NULL) return false;
    columns[RECORD_NUMBER] = (Column){.type = INT64, .name = "number"};
    columns[TIMESTAMP_MS] = (Column){.type = INT64, .name = "timestamp_ms"};
    for (int i = 0; i < count; i++)
        columns[FIRST_OWN + i] = (Column){.type = column_type(own[i].kind), .name = own[i].column};
    if (!plan->wants_rows) columns[FIRST_OWN + count++] = (Column){.type = TEXT, .name = "others"};
    *record = (Record){.plan = plan, .batch = {.columns = columns, .count = FIRST_OWN + count}};
    return true;
}

void record_free(Record *record) {
    batch_free(&record->batch);
    free(record->batch.columns);
    text_free(&record->scratch);
    text_free(&record->others);
}

/* Values */

static bool is_named(Slice name, const char *wanted, size_t size) {
    return name.size == size && memcmp(name.start, wanted, size) == 0;
}

/* Returns the index of a field, or -1. The search starts after the last one: most records have the same order. */
static int place_of(Record *record, Slice name) {
    const Plan *plan = record->plan;
    int count = (int)plan->field_count;
    for (int step = 0; step < count; step++) {
        int place = (record->next_field + step) % count;
        if (!is_named(name, plan->fields[place].name, (size_t)plan->fields[place].name_size)) continue;
        record->next_field = place + 1;
        return place;
    }
    if (is_named(name, "timestamp", 9)) return count + OF_TIMESTAMP;
    if (is_named(name, "ticker", 6)) return count + OF_TICKER;
    if (plan->row_field != NULL && is_named(name, plan->row_field, strlen(plan->row_field)))
        return count + OF_ROWS;
    return -1;
}

/* Reads a string as its unescaped text, in `scratch` if it has escapes. */
static bool plain_string(Record *record, Cursor *cursor, Slice *plain) {
    bool has_escapes;
    if (!json_string(cursor, plain, &has_escapes)) return false;
    if (!has_escapes) return true;
    record->scratch.size = 0;
    const uint8_t *after = cursor->at;
    if (!json_unescape(cursor, *plain, &record->scratch)) return false;
    cursor->at = after;
    *plain = (Slice){record->scratch.bytes, record->scratch.size};
    return true;
}

static bool ticker(Record *record, Cursor *cursor) {
    const uint8_t *start = cursor->at;
    const char *wanted = record->plan->ticker;
    Slice found;
    if (!plain_string(record, cursor, &found)) return false;
    bool is_same = found.size == strlen(wanted);
    for (size_t i = 0; is_same && i < found.size; i++) {
        uint8_t byte = found.start[i];
        is_same = (byte >= 'a' && byte <= 'z' ? byte - 32 : byte) == (uint8_t)wanted[i];
    }
    return is_same ? true : json_fail(cursor, start, "expected the ticker of the job");
}

/* Skips an array that is stored as its text. */
static bool kept_array(Record *record, Cursor *cursor, Kind kind, Value *value) {
    const uint8_t *start = cursor->at;
    if (*start != '[') return json_fail(cursor, start, "expected an array");
    cursor->is_kept = true;
    bool is_right = kind == NUMBERS ? json_flat_array(cursor, &value->text, &value->is_spaced)
                                    : json_value(cursor, record->plan->max_depth - 1);
    cursor->is_kept = false;
    if (is_right && kind == ARRAY) {
        value->text = (Slice){start, (size_t)(cursor->at - start)};
        value->is_spaced = true;
    }
    return is_right;
}

static bool value_of(Record *record, Cursor *cursor, const Field *field, Value *value) {
    const uint8_t *start = cursor->at;
    *value = (Value){.is_null = *start == 'n'};
    if (value->is_null) {
        if (field->is_required) return json_fail(cursor, start, "expected a value, got null");
        return json_null(cursor);
    }
    if (field->kind == NUMBERS || field->kind == ARRAY) return kept_array(record, cursor, field->kind, value);
    if (!json_number(cursor, &value->number)) return false;
    if (field->kind == NUMBER) return true;
    bool is_whole = value->number >= INT32_MIN && value->number <= INT32_MAX &&
                    value->number == (double)(int32_t)value->number;
    return is_whole ? true : json_fail(cursor, start, "expected a 32-bit integer");
}

static bool put(Cursor *cursor, Column *column, int64_t row, const Field *field, const Value *value) {
    if (value->is_null) return put_null(column, row), true;
    switch (field->kind) {
    case NUMBER: return put_double(column, row, value->number), true;
    case INTEGER: return put_int32(column, row, (int32_t)value->number), true;
    default:
        return (value->is_spaced ? put_compact : put_text)(column, row, value->text)
                   ? true
                   : json_fail(cursor, cursor->at, JSON_NO_MEMORY);
    }
}

/* Rows */

static bool row(Record *record, Cursor *cursor) {
    const Plan *plan = record->plan;
    Column *columns = record->batch.columns + FIRST_OWN;
    int64_t place = record->batch.length;
    int part = 0;
    if (!json_expect(cursor, '[', "expected a row that is an array")) return false;
    if (!batch_reserve(&record->batch)) return json_fail(cursor, cursor->at, JSON_NO_MEMORY);
    record->batch.length++;
    json_skip_blanks(cursor);
    while (*cursor->at != ']') {
        Value value;
        if (part == plan->part_count) return json_fail(cursor, cursor->at, "too many elements in a row");
        if (part && !json_expect(cursor, ',', "expected a comma between two elements")) return false;
        json_skip_blanks(cursor);
        if (!value_of(record, cursor, &plan->parts[part], &value) ||
            !put(cursor, &columns[part], place, &plan->parts[part], &value))
            return false;
        part++;
        json_skip_blanks(cursor);
    }
    if (part < plan->min_parts) return json_fail(cursor, cursor->at, "too few elements in a row");
    for (; part < plan->part_count; part++) put_null(&columns[part], place);
    cursor->at++;
    return true;
}

static bool rows(Record *record, Cursor *cursor) {
    if (*cursor->at == 'n') return json_null(cursor);
    if (!json_expect(cursor, '[', "expected an array of rows")) return false;
    json_skip_blanks(cursor);
    if (*cursor->at == ']') return cursor->at++, true;
    for (;;) {
        if (!row(record, cursor)) return false;
        json_skip_blanks(cursor);
        if (*cursor->at == ']') return cursor->at++, true;
        if (!json_expect(cursor, ',', "expected a comma between two rows")) return false;
        json_skip_blanks(cursor);
    }
}

/* Skips the array of rows without reading it. Valid rows have neither quotes nor braces, so the array ends before the
   comma of the next name, or the closing brace of the record. The stream of rows checks the rows, and that the array
   ends there. */
static bool skip_rows(Cursor *cursor) {
    if (*cursor->at == 'n') return json_null(cursor);
    if (*cursor->at != '[') return json_fail(cursor, cursor->at, "expected an array of rows");
    size_t left = (size_t)(cursor->limit - cursor->at);
    const uint8_t *quote = memchr(cursor->at, '"', left);
    const uint8_t *end = quote == NULL ? cursor->limit : quote;
    const uint8_t *brace = memchr(cursor->at, '}', (size_t)(end - cursor->at));
    const uint8_t *last = brace == NULL ? end : brace;
    while (last > cursor->at && json_is_blank(last[-1])) last--;
    if (brace == NULL && quote == NULL) return json_fail(cursor, cursor->limit, "incomplete rows");
    if (brace == NULL && last[-1] == ',') last--;
    while (last > cursor->at && json_is_blank(last[-1])) last--;
    if (last - cursor->at < 2 || last[-1] != ']')
        return json_fail(cursor, cursor->at, "invalid JSON in the rows");
    cursor->at = last;
    return true;
}

/* Records */

static bool note_other(Record *record, Cursor *cursor, Slice quoted) {
    Text *others = &record->others;
    if (!text_reserve(others, quoted.size + 2)) return json_fail(cursor, cursor->at, JSON_NO_MEMORY);
    others->bytes[others->size] = others->size ? ',' : '[';
    memcpy(others->bytes + others->size + 1, quoted.start, quoted.size);
    others->size += quoted.size + 1;
    return true;
}

static bool special(Record *record, Cursor *cursor, int which) {
    bool wants_rows = record->plan->wants_rows;
    switch (which) {
    case OF_TIMESTAMP: return json_number(cursor, &record->timestamp);
    case OF_TICKER: return ticker(record, cursor);
    default: return wants_rows ? rows(record, cursor) : skip_rows(cursor);
    }
}

static bool field(Record *record, Cursor *cursor) {
    const Plan *plan = record->plan;
    const uint8_t *start = cursor->at;
    Slice name;
    if (!plain_string(record, cursor, &name)) return false;
    Slice quoted = {start, (size_t)(cursor->at - start)};
    json_skip_blanks(cursor);
    if (!json_expect(cursor, ':', "expected a colon after a name")) return false;
    json_skip_blanks(cursor);
    int place = place_of(record, name);
    if (place < 0) {
        if (!plan->wants_rows && !note_other(record, cursor, quoted)) return false;
        return json_value(cursor, plan->max_depth - 1);
    }
    uint64_t bit = 1ULL << place;
    if (record->seen & bit) return json_fail(cursor, start, "a name occurs twice");
    record->seen |= bit;
    if (place >= plan->field_count) return special(record, cursor, place - (int)plan->field_count);
    return value_of(record, cursor, &plan->fields[place], &record->values[place]);
}

static bool is_complete(const Record *record) {
    const Plan *plan = record->plan;
    uint64_t needed = 1ULL << (plan->field_count + OF_TIMESTAMP) | 1ULL << (plan->field_count + OF_TICKER);
    for (int i = 0; i < plan->field_count; i++)
        if (plan->fields[i].is_required) needed |= 1ULL << i;
    return (record->seen & needed) == needed;
}

static bool put_record(Record *record, Cursor *cursor) {
    const Plan *plan = record->plan;
    if (!batch_reserve(&record->batch)) return json_fail(cursor, cursor->at, JSON_NO_MEMORY);
    Column *columns = record->batch.columns + FIRST_OWN;
    int64_t place = record->batch.length++;
    const Value none = {.is_null = true};
    for (int i = 0; i < plan->field_count; i++) {
        const Value *value = record->seen >> i & 1 ? &record->values[i] : &none;
        if (!put(cursor, &columns[i], place, &plan->fields[i], value)) return false;
    }
    Column *others = &columns[plan->field_count];
    if (record->others.size == 0) {
        put_null(others, place);
    } else {
        record->others.bytes[record->others.size] = ']';
        Slice names = {record->others.bytes, record->others.size + 1};
        if (!put_text(others, place, names)) return json_fail(cursor, cursor->at, JSON_NO_MEMORY);
    }
    return true;
}

/* Sets number and time of the rows of the record; false if its timestamp does not fit. */
static bool put_key(Record *record, int64_t first, int64_t number) {
    double timestamp_ms = nearbyint(record->timestamp * 1000);
    if (!(fabs(timestamp_ms) < 9223372036854775808.0)) return false;
    Column *columns = record->batch.columns;
    for (int64_t place = first; place < record->batch.length; place++) {
        put_int64(&columns[RECORD_NUMBER], place, number);
        put_int64(&columns[TIMESTAMP_MS], place, (int64_t)timestamp_ms);
    }
    return true;
}

static bool fields(Record *record, Cursor *cursor) {
    if (!json_expect(cursor, '{', "expected an object")) return false;
    json_skip_blanks(cursor);
    if (*cursor->at == '}') return cursor->at++, true;
    for (;;) {
        if (!field(record, cursor)) return false;
        json_skip_blanks(cursor);
        if (*cursor->at == '}') return cursor->at++, true;
        if (!json_expect(cursor, ',', "expected a comma between two fields")) return false;
        json_skip_blanks(cursor);
    }
}

static bool is_kept(const Plan *plan, int64_t number) {
    return plan->kept == NULL || (number <= plan->kept_count && plan->kept[number - 1]);
}

bool record_read(Record *record, Cursor *cursor, int64_t number, bool on_one_line) {
    const uint8_t *start = cursor->at;
    int64_t first = record->batch.length;
    record->seen = 0;
    record->next_field = 0;
    record->others.size = 0;
    if (!fields(record, cursor)) return false;
    int64_t size = cursor->at - start;
    if (size > record->plan->max_record_bytes) return json_fail(cursor, start, "too large");
    if (on_one_line && memchr(start, '\n', (size_t)size) != NULL)
        return json_fail(cursor, start, "expected the whole record on one line");
    if (!is_complete(record)) return json_fail(cursor, start, "a required field is missing");
    if (!record->plan->wants_rows && !put_record(record, cursor)) return false;
    if (!is_kept(record->plan, number)) batch_truncate(&record->batch, first);
    return put_key(record, first, number) ? true : json_fail(cursor, start, "the timestamp is out of range");
}
