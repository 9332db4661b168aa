/* A strict JSON reader (RFC 8259) over bytes in memory.

   The bytes end with a NUL at `limit`, which no JSON has outside of strings, so nothing is read beyond it. A
   function that fails leaves the place of the fault in `at`: where that is `limit`, the bytes may merely have
   ended too early, and the same is tried again once there are more. */
#ifndef GEXLAKE_JSON_H
#define GEXLAKE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *at;
    const uint8_t *limit;
    const char *fault; /* what is wrong at `at`, as the end of a sentence about a record */
    bool is_kept;      /* what is stepped over is stored as text, so that its numbers must be finite */
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

/* The fault that is none of the text's. */
extern const char JSON_NO_MEMORY[];

bool text_grow(Text *text, size_t more);
void text_free(Text *text);

/* Makes room for `more` bytes; false if there is no memory. */
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
/* Steps over a number, and sees only whether it is finite, if it is kept. */
bool json_skip_number(Cursor *cursor);
/* Steps over a string, and tells what stands between its quotes, and whether that has escapes. */
bool json_string(Cursor *cursor, Slice *inside, bool *has_escapes);
/* Writes what a string stands for; a half of a surrogate pair stands for nothing, which is a fault. */
bool json_unescape(Cursor *cursor, Slice inside, Text *plain);
/* Steps over an array of numbers and nulls. */
bool json_flat_array(Cursor *cursor, Slice *whole, bool *has_blanks);
/* Steps over any value; `depth` more arrays and objects may be open at a time. */
bool json_value(Cursor *cursor, int depth);
/* Appends JSON text without the blanks outside of its strings. */
bool json_append_compact(Text *text, Slice json);

#endif
