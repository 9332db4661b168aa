/* Reads the records of a staged file, one after the other, into columns. */
#ifndef GEXLAKE_RECORDS_H
#define GEXLAKE_RECORDS_H

#include "arrow.h"

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
    int64_t block_bytes; /* read at a time, at least */
    int64_t batch_rows;  /* after which a batch ends, with the record that is being read */
    int64_t most_bytes; /* that a record may have */
    int most_depth;     /* that it may be nested */
} Plan;

typedef struct Records Records;

Records *records_new(const Plan *plan);
void records_free(Records *records);
bool records_schema(Records *records, struct ArrowSchema *out);
/* Returns 0 and a batch, whose release is NULL after the last one, or an errno. */
int records_next(Records *records, struct ArrowArray *out);
const char *records_error(Records *records);

#endif
