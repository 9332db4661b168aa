/* What the records of a file are, and what is wanted of them: a format of the lake, as the reader is told it. */
#ifndef GEXLAKE_PLAN_H
#define GEXLAKE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    NUMBER = 'n',  /* DOUBLE */
    INTEGER = 'i', /* INT32 */
    ARRAY = 'a',   /* TEXT, any array */
    NUMBERS = 'v', /* TEXT, an array of numbers and nulls */
} Kind;

/* A field of a record, or an element of a row. */
typedef struct {
    const char *name;
    const char *column;
    size_t name_size;
    Kind kind;
    bool is_required;
} Field;

/* What the records are and what is wanted of them. All of it belongs to whoever made it. */
typedef struct {
    const char *path;
    const char *ticker; /* in capitals */
    const Field *fields;
    int field_count;
    const char *row_field; /* the array whose elements are rows; NULL if there is none */
    const Field *parts;    /* of a row */
    int part_count;
    int least_parts;
    bool wants_rows; /* one row an element of that array, or else one row a record */
    const char *kept; /* a byte for each record of the file, 0 if its rows are dropped; NULL if all stay */
    int64_t kept_count;
    int64_t block_bytes; /* read at a time, at least */
    int64_t batch_rows;  /* after which a batch ends, with the record that is being read */
    int64_t most_bytes; /* that a record may have */
    int most_depth;     /* that it may be nested */
} Plan;

#endif
