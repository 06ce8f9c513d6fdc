set -eu
[ "$(pkg-config --modversion modx)" = "$(pkg-config --modversion modx-cpu)" ]

# The headers alone: Eigen comes with them.
g++ -std=c++20 -fsyntax-only main.cpp $(pkg-config --cflags modx)

# With the backend compiled no header of Eigen is read, and modx's, which come by -I, bear the consumer's warnings.
g++ -std=c++20 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror main.cpp -c $(pkg-config --cflags modx-cpu)

# [use]
g++ -std=c++20 main.cpp $(pkg-config --cflags --libs modx-cpu) -o main
# [/use]
