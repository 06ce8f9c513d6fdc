// expect: modx: another sentence
static_assert(sizeof(int) == 0, "modx: this sentence");
