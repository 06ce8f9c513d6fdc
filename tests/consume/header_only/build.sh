set -eu
# [use]
g++ -std=c++20 -Imodx/include -I"$EIGEN" -pthread main.cpp -o main
# [/use]
