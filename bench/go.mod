module prefork/bench

go 1.26.0

require prefork v0.0.0

replace prefork => ../
