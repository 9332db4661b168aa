/* A strict JSON reader (RFC 8259) over bytes in memory.

   The bytes end with a NUL at `limit`. JSON has none outside of strings, so no function reads beyond it. A function
   that fails sets `at` to the place of the fault. If that is `limit`, the text may only be incomplete: the caller
   reads more of the file and starts the record again. */
#ifndef GEXLAKE_JSON_H
#define GEXLAKE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *at;
    const uint8_t *limit;
    const char *fault; /* the problem at `at`; a constant */
    bool is_kept;      /* skipped values are stored as text, so their numbers must be finite */
} Cursor;

typedef struct {
    const uint8_t *start;
    size_t size;
} Slice;

/* A buffer that grows; zeroed is empty. */
typedef struct {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
} Text;

/* The fault of a failed allocation. */
extern const char JSON_NO_MEMORY[];

bool text_grow(Text *text, size_t more);
void text_free(Text *text);

/* Reserves `more` bytes; false if there is no memory. */
static inline bool text_reserve(Text *text, size_t more) {
    return text->capacity - text->size >= more || text_grow(text, more);
}

static inline bool json_fail(Cursor *cursor, const uint8_t *at, const char *fault) {
    cursor->at = at;
    cursor->fault = fault;
    return false;
}

static inline bool json_is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static inline bool json_is_digit(uint8_t byte) { return (uint8_t)(byte - '0') < 10; }

static inline void json_skip_blanks(Cursor *cursor) {
    while (*cursor->at <= ' ' && json_is_blank(*cursor->at)) cursor->at++;
}

static inline bool json_expect(Cursor *cursor, char wanted, const char *fault) {
    if (*cursor->at != (uint8_t)wanted) return json_fail(cursor, cursor->at, fault);
    cursor->at++;
    return true;
}

bool json_null(Cursor *cursor);
/* Reads a number; one that is too large for a double is a fault. */
bool json_number(Cursor *cursor, double *value);
/* Skips a number; checks only that it is finite, if it is kept. */
bool json_skip_number(Cursor *cursor);
/* Skips a string; sets the text between its quotes, and whether that has escapes. */
bool json_string(Cursor *cursor, Slice *inside, bool *has_escapes);
/* Appends the unescaped text of a string; half of a surrogate pair is a fault. */
bool json_unescape(Cursor *cursor, Slice inside, Text *plain);
/* Skips an array of numbers and nulls. */
bool json_flat_array(Cursor *cursor, Slice *whole, bool *has_blanks);
/* Skips any value, in which up to `depth` arrays and objects may be nested. */
bool json_value(Cursor *cursor, int depth);
/* Appends JSON text without the blanks outside of its strings. */
bool json_append_compact(Text *text, Slice json);

#endif
