/* The floor of a process: static, and it does nothing. Build: cc -O2 -static. */
int main(void)
{
	return 0;
}
