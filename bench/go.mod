module prefork/bench

go 1.26.0
